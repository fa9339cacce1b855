"""What every format of model file has to do, asked of each by its being listed in `FORMATS`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.formats import FORMATS, read_model_file
from tests.converters.onnx import onnx_maker
from tests.converters.tflite.tflite_maker import model_object, op_model, packed

#: Name of a format to a file of it that holds one RELU: input "x", output "y", float32, shape (1,).
RELU: dict[str, Callable[[], bytes]] = {
    "tflite": lambda: packed(model_object("RELU", use=True)),
    "onnx": onnx_maker.op_model,
}
#: Name of a format to a file of it that holds a custom op "my_op".
CUSTOM: dict[str, Callable[[], bytes]] = {
    "tflite": lambda: packed(model_object("CUSTOM", 1, "my_op", use=True)),
    "onnx": lambda: onnx_maker.op_model("my_op", domain="mine"),
}
#: Name of a format to the name of that op.
CUSTOM_NAME = {"tflite": "my_op", "onnx": "mine.my_op"}
#: Name of a format to a file of it that a runtime of this name and version cannot load, and why.
NEWER = {
    "tflite": (lambda: packed(model_object("RELU", 9, use=True)), "tflite-runtime", "2.14.0"),
    "onnx": (lambda: onnx_maker.op_model(opset=22), "onnxruntime", "1.20.1"),
}

all_formats = pytest.mark.parametrize("name", FORMATS)


def test_every_format_is_tested_here() -> None:
    assert set(RELU) == set(CUSTOM) == set(NEWER) == set(CUSTOM_NAME) == set(FORMATS)


@all_formats
def test_a_file_says_its_format_and_what_it_takes(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"model.{name}"
    path.write_bytes(RELU[name]())
    model = read_model_file(path)
    assert (model.format, model.path, model.size_bytes) == (name, path, path.stat().st_size)
    assert [(spec.name, spec.shape, spec.dtype) for spec in (*model.inputs, *model.outputs)] == [
        ("x", (1,), "float32"),
        ("y", (1,), "float32"),
    ]


@all_formats
def test_a_file_is_run_in_another_process(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"model.{name}"
    path.write_bytes(RELU[name]())
    outputs = FORMATS[name].run(path, {"x": np.array([-1, 2], np.float32)})
    assert outputs["y"].tolist() == [0, 2]
    runtime, version = FORMATS[name].host_runtime()
    assert FORMATS[name].refusals(read_model_file(path).operators, runtime, version) == ()


@all_formats
def test_a_custom_op_is_foreign_and_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"model.{name}"
    path.write_bytes(CUSTOM[name]())
    model = read_model_file(path)
    assert FORMATS[name].foreign_ops(model) == (CUSTOM_NAME[name],)
    (reason,) = FORMATS[name].refusals(model.operators, *FORMATS[name].host_runtime())
    assert "my_op" in reason
    with pytest.raises(ConversionError):
        FORMATS[name].run(path, {"x": np.zeros(1, np.float32)})


@all_formats
def test_a_runtime_that_is_too_old_is_refused(name: str, tmp_path: Path) -> None:
    make, runtime, version = NEWER[name]
    path = tmp_path / f"model.{name}"
    path.write_bytes(make())
    model = read_model_file(path)
    (reason,) = FORMATS[name].refusals(model.operators, runtime, version)
    assert version in reason
    assert FORMATS[name].minimum_runtime(model).operator.upper() == "RELU"


@all_formats
def test_what_is_no_file_of_the_format_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"model.{name}"
    path.write_bytes(b"")
    with pytest.raises(ConversionError, match=str(path)):
        read_model_file(path)


def test_a_file_without_a_known_suffix_is_read_as_tflite(tmp_path: Path) -> None:
    path = tmp_path / "model.lite"
    path.write_bytes(op_model("RELU", 1))
    assert read_model_file(path).format == "tflite"
