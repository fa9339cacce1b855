"""A real network on 10,000 real images, as a user has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.process import convert
from converters.request import ConversionRequest

#: Beside the checkout; not a part of the repository.
SHARED = Path(__file__).parents[3].parent / "shared"
MODEL = SHARED / "models" / "resnet8_cifar10.h5"
DATA = SHARED / "data" / "cifar10.tar.gz"


@pytest.mark.skipif(
    not (MODEL.exists() and DATA.exists()), reason=f"the real pair is not in {SHARED}"
)
def test_ptq_of_a_real_network_stays_within_half_a_point(tmp_path: Path) -> None:
    conversion = convert(ConversionRequest(MODEL, DATA, "ptq_w8a8", tmp_path / "out"))
    assert conversion.float_accuracy.samples == 10_000
    assert conversion.float_accuracy.fraction == pytest.approx(0.8425, abs=0.001)
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.005
    assert conversion.model_bytes < 100_000
