"""The places of tensors in a .tflite are those of their values."""

from pathlib import Path

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.tflite.stored_tensors import stored_tensors
from tests.tiny_model import relu_model

MODEL = Path(__file__).resolve().parents[4] / "shared" / "models" / "mlperf_tiny_ic_int8.tflite"


def test_values_lie_where_they_are_said_to(tmp_path: Path) -> None:
    if not MODEL.exists():
        pytest.skip(f"{MODEL} is not on this computer")
    tensors = {tensor.name: tensor for tensor in stored_tensors(MODEL)}
    weights = tensors["model/conv2d/Conv2D"]
    assert (weights.dtype, weights.shape, weights.size) == ("int8", (16, 3, 3, 3), 432)
    content = MODEL.read_bytes()[weights.offset : weights.offset + weights.size]
    # Weights are quantized for each output channel: the largest of each is 127 or -127.
    channels = np.frombuffer(content, np.int8).reshape(16, -1)
    assert (np.abs(channels.astype(int)).max(axis=1) == 127).all()
    assert sum(tensor.size for tensor in tensors.values()) < MODEL.stat().st_size


def test_a_model_without_constants_has_none(tmp_path: Path) -> None:
    path = tmp_path / "relu.tflite"
    path.write_bytes(relu_model())
    assert stored_tensors(path) == ()


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_bytes(b"cat\ndog\n")
    with pytest.raises(ConversionError):
        stored_tensors(path)
