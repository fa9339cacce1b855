"""Run as a program: counts operators, tensors and subgraphs by TensorFlow's own analyzer.

Arguments: a file for the report, and paths of .tflite files. The report is JSON: name of each file
to the three counts.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf


def count(path: str) -> list[int]:
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        tf.lite.experimental.Analyzer.analyze(model_path=path)
    lines = text.getvalue()
    operators = re.findall(r"^ +Op#\d+ ", lines, re.M)
    tensors = re.findall(r"^ +T#\d+(?:\(|shape)", lines, re.M)
    subgraphs = re.findall(r"^Subgraph#\d+", lines, re.M)
    return [len(operators), len(tensors), len(subgraphs)]


if __name__ == "__main__":
    report = {Path(path).name: count(path) for path in sys.argv[2:]}
    Path(sys.argv[1]).write_text(json.dumps(report))
