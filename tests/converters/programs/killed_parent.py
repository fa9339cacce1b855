"""Has a process of its own work on a file, for ever: its reader ends this process by SIGKILL."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from converters.onnx.prepare import prepare_onnx
from converters.onnx.work import count_in_process
from converters.tflite.isolated import run_isolated

#: Number of trips of the loop: hours of work.
TRIPS = 2**31 - 1

if __name__ == "__main__":
    kind, path = sys.argv[1], Path(sys.argv[2])
    if kind == "converters.isolated_run":
        run_isolated(path, {"x": np.zeros((1, 3), np.float32), "n": np.array([TRIPS], np.int32)})
    elif kind == "converters.onnx.prepare":
        prepare_onnx(path, path, {})
    else:
        count_in_process(kind, path)
