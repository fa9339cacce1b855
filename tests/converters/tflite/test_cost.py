"""What a file costs, against figures that others published, and counts done by hand."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from converters.evidence.conversion import Conversion
from converters.tflite.cost import cost_of
from tests.tiny_model import add_model

MODELS = Path(__file__).resolve().parents[4] / "shared" / "models"


@pytest.mark.skipif(not MODELS.is_dir(), reason=f"no {MODELS}")
@pytest.mark.parametrize(
    ("name", "macs", "parameters"),
    # MLPerf Tiny's ResNet: 12.5 M MACs, 78 K parameters; MobileNet v1 0.25 128: 14 M and 0.47 M.
    [
        ("mlperf_tiny_ic_int8", 12.5e6, 78e3),
        ("mlperf_tiny_ic_fp32", 12.5e6, 78e3),
        ("mobilenet_v1_0.25_128_quant", 14e6, 0.47e6),
    ],
)
def test_work_and_weights_are_what_was_published(name: str, macs: float, parameters: float) -> None:
    cost = cost_of(MODELS / f"{name}.tflite")
    assert cost.macs == pytest.approx(macs, rel=0.04)
    assert cost.parameters == pytest.approx(parameters, rel=0.01)
    assert cost.uncounted == ()


def test_the_digits_are_counted_as_by_hand(digits_ptq: Conversion) -> None:
    cost = digits_ptq.cost
    convolutions = 64 * 9 * 1 * 16 + 64 * 9 * 16 * 32 + 16 * 9 * 32 * 32
    assert cost.macs == convolutions + 512 * 10
    kernels = 9 * 16 + 9 * 16 * 32 + 9 * 32 * 32 + 512 * 10
    assert cost.parameters == kernels + 16 + 32 + 32 + 10
    # The second convolution holds what it takes and what it gives; the input is kept all along.
    assert cost.peak_tensor_bytes == 64 + 64 * 16 + 64 * 32
    content = digits_ptq.model.read_bytes()
    assert cost.compressed_bytes == len(zlib.compress(content, 9)) < len(content)


def test_tensors_are_held_from_their_first_to_their_last_use(tmp_path: Path) -> None:
    path = tmp_path / "add.tflite"
    path.write_bytes(add_model())
    cost = cost_of(path)
    assert cost.peak_tensor_bytes == 3 * 4
    assert (cost.macs, cost.parameters, cost.sparsity) == (0, 0, 0.0)
