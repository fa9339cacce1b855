"""Run as a program in a process of its own: makes an int8 file of a fused LSTM of floats.

Arguments: the .tflite of floats, its samples as .npy of float32, the file to write.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from converters.data.dataset import Samples
from converters.progress import ignore
from converters.quantize.calibrate import MINMAX, measure_ranges
from converters.quantize.integer_file import int8_file
from converters.quantize.lstm_states import add_states


def main(floats: Path, inputs: Path, out: Path) -> None:
    x = np.load(inputs)
    samples = Samples(x, np.zeros(len(x), np.int64))
    with_states = add_states(floats.read_bytes(), samples, ignore)
    ranges = measure_ranges(with_states, samples, MINMAX, 99.9, ignore)
    out.write_bytes(int8_file(with_states, ranges, "int8"))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
