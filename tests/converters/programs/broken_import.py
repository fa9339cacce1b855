"""Run as a program: reads a .tflite by a rule that is wrong, and prints what is said about it.

Argument: a .tflite of which one operator is a MAX_POOL_2D.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from converters.errors import ConversionError
from converters.graph.tflite.read import RULES
from converters.sources.kinds import identify
from converters.sources.load import load_model

if __name__ == "__main__":
    RULES["MAX_POOL_2D"] = RULES["AVERAGE_POOL_2D"]
    try:
        load_model(identify(Path(sys.argv[1]))).graph  # noqa: B018 - read when it is asked for
    except ConversionError as error:
        sys.stdout.write(f"{error}\n{error.hint}\n")
