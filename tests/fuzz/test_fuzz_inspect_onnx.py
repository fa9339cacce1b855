"""Damaged .onnx files against `kedge inspect`: refused, never crashed or slow.

The files are read in one process. Shapes are inferred in a process for each file, as the command
does it, of a few files only: this takes its time. KEDGE_FUZZ_CASES=10000 runs more of them.
"""

import os
import random
import time
import tracemalloc
from pathlib import Path

from converters.errors import ConversionError
from converters.inspection import quantization_coverage
from converters.onnx.contract import foreign_onnx_ops, minimum_onnxruntime, onnx_refusals
from converters.onnx.inspection import onnx_figures
from converters.onnx.reader import read_onnx
from tests.fuzz.test_fuzz_inspect import damage
from tests.onnx_models import convolution_model, gather_model, open_batch_model, quantized_model
from tests.onnx_models import relu_model as onnx_relu
from toolkit.report.inspection import describe_totals

CASES = int(os.environ.get("KEDGE_FUZZ_CASES", "300"))
#: One of so many accepted files has its shapes inferred.
FIGURES_EVERY = 40
SLOWEST_S = 10.0


def read(path: Path) -> bool:
    """Read a file as the command does; return whether it was accepted."""
    try:
        model = read_onnx(path)
        minimum_onnxruntime(model), foreign_onnx_ops(model)
        onnx_refusals(model.operators, "onnxruntime", "1.16.3")
    except ConversionError as error:
        assert str(path) in str(error)
        assert error.exit_code == 4
        return False
    return True


def count(path: Path) -> None:
    """Count the figures of a file as the command does."""
    try:
        figures = onnx_figures(path)
        describe_totals(figures, quantization_coverage(figures))
    except ConversionError as error:
        assert str(path) in str(error)
        assert error.exit_code == 4


def test_a_damaged_onnx_is_refused_or_shown(tmp_path: Path) -> None:
    path = tmp_path / "damaged.onnx"
    seeds = (onnx_relu(), gather_model(), open_batch_model(), quantized_model())
    files = damage(random.Random(56), (*seeds, convolution_model(8, 4, 2)))
    accepted = 0
    for _ in range(CASES):
        content = next(files)
        path.write_bytes(content)
        begin = time.monotonic()
        tracemalloc.start()
        accepted += (is_accepted := read(path))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 100e6 + 10 * len(content)
        if is_accepted and accepted % FIGURES_EVERY == 1:
            count(path)
        assert time.monotonic() - begin < SLOWEST_S
    assert 0 < accepted < CASES
