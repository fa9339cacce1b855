"""Run as a program in a process of its own: makes an int8 file of a comparison of floats.

Arguments: the .tflite of floats, the file to write. Standard output: the notes about its layers.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from converters.quantize.integer_file import int8_file
from converters.quantize.layer_names import float_layer_notes

RANGES = {0: (-1.0, 1.0), 3: (0.0, 1.0), 4: (-1.0, 1.0)}

if __name__ == "__main__":
    content = int8_file(Path(sys.argv[1]).read_bytes(), RANGES, "int8")
    Path(sys.argv[2]).write_bytes(content)
    sys.stdout.write("\n".join(float_layer_notes(content, None)))
