"""What an .onnx says of itself, which runtime it needs, and what it answers on this host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from converters.errors import ConversionError, MissingConvertExtraError
from converters.formats import FORMATS, read_model_file
from converters.onnx import runtime as runtime_module
from converters.onnx.contract import known_faults
from converters.onnx.reader import OnnxFile, read_onnx
from converters.onnx.work import cost_of_onnx, count_onnx_works
from device_agent.contract.onnx_scales import SCALES_KEY, IntegerScale, scales_to_text
from tests.converters.onnx.onnx_maker import convolution, model_bytes, op_model

ONNX = FORMATS["onnx"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def write(path: Path, content: bytes) -> OnnxFile:
    path.write_bytes(content)
    return read_onnx(path)


def test_ops_have_the_version_of_their_opset_and_the_format_has_its_own(path: Path) -> None:
    model = write(path, convolution())
    assert {(op.name, op.version, op.count) for op in model.operators} == {
        ("Conv", 13, 1),
        ("Reshape", 13, 1),
        ("MatMul", 13, 1),
        ("ONNX IR", 8, 1),
    }
    assert (model.ir_version, dict(model.opsets)) == (8, {"": 13})
    assert {t.name: t.bytes for t in model.tensors if t.is_constant} == {
        "kernel": 216,
        "matrix": 96,
        "shape": 16,
    }


@pytest.mark.parametrize(
    ("opset", "ir", "lowest"),
    [(13, 8, "1.14"), (20, 8, "1.17"), (13, 10, "1.18"), (23, 11, "1.23"), (28, 14, "1.32")],
)
def test_the_lowest_runtime_follows_from_opset_and_format(
    path: Path, opset: int, ir: int, lowest: str
) -> None:
    model = write(path, op_model(opset=opset, ir=ir))
    assert ONNX.lowest_runtimes(model) == {"onnxruntime": lowest}
    assert not ONNX.refusals(model.operators, "onnxruntime", lowest + ".0")
    before = f"1.{int(lowest[2:]) - 1}.0"
    assert ONNX.refusals(model.operators, "onnxruntime", before)


def test_refusals_name_what_is_too_new_in_one_sentence_each(path: Path) -> None:
    model = write(path, op_model(opset=21, ir=10))
    assert ONNX.refusals(model.operators, "onnxruntime", "1.14.1") == (
        "Relu of opset 21 needs onnxruntime 1.18, onnxruntime is 1.14.1",
        "ONNX IR version 10 needs onnxruntime 1.18, onnxruntime is 1.14.1",
    )
    model = write(path, op_model(opset=99))
    (reason,) = ONNX.refusals(model.operators, "onnxruntime", "1.32.0")
    assert reason == "Relu of opset 99 is newer than what kedge knows of, onnxruntime is 1.32.0"
    with pytest.raises(ConversionError, match="ai-edge-litert 2.3.0 is unknown for .onnx"):
        ONNX.refusals(model.operators, "ai-edge-litert", "2.3.0")


def test_ops_of_onnxruntime_are_not_foreign(path: Path) -> None:
    model = write(path, op_model("Gelu", domain="com.microsoft"))
    assert ONNX.foreign_ops(model) == ()
    assert not ONNX.refusals(model.operators, "onnxruntime", "1.32.0")


def test_scales_of_integers_are_read_from_the_metadata(path: Path) -> None:
    content = onnx.ModelProto.FromString(op_model())
    for entry in (content.graph.input[0], content.graph.output[0]):
        entry.type.tensor_type.elem_type = onnx.TensorProto.UINT8
    text = scales_to_text({"x": IntegerScale(0.5, 128)})
    helper.set_model_props(content, {SCALES_KEY: text})
    model = write(path, content.SerializeToString())
    (taken,), (answer,) = model.inputs, model.outputs
    assert (taken.dtype, taken.scale, taken.zero_point) == ("uint8", 0.5, 128)
    assert (answer.scale, answer.zero_point) == (None, None)
    helper.set_model_props(content, {SCALES_KEY: "{"})
    with pytest.raises(ConversionError, match="damaged .onnx"):
        write(path, content.SerializeToString())


def test_work_and_weights_are_counted(path: Path) -> None:
    write(path, convolution())
    works = count_onnx_works(path)
    assert [(work.op, work.layer, work.macs) for work in works] == [
        ("Conv", "first", 12 * 18),
        ("Reshape", "", 0),
        ("MatMul", "last", 24),
    ]
    cost = cost_of_onnx(path)
    assert (cost.parameters, cost.macs, cost.peak_tensor_bytes) == (54 + 24, 240, 224)
    assert (cost.distinct_weights, cost.sparsity) == (54, 0.0)
    figures = ONNX.kernel_figures(path)
    assert [(f.name, f.bits, f.size, f.zero_share) for f in figures] == [
        ("kernel", 32, 54, 0.0),
        ("matrix", 32, 24, 0.0),
    ]


def test_stored_values_lie_where_it_says(path: Path) -> None:
    write(path, convolution())
    content = path.read_bytes()
    tensors = {tensor.name: tensor for tensor in ONNX.stored_tensors(path)}
    kernel = np.random.default_rng(0).normal(size=(3, 2, 3, 3)).astype(np.float32)
    place = tensors["kernel"]
    assert (place.dtype, place.shape) == ("float32", (3, 2, 3, 3))
    assert content[place.offset : place.offset + place.size] == kernel.tobytes()
    assert set(tensors) == {"kernel", "matrix", "shape"}


def test_open_axes_are_run_with_one_sample(path: Path) -> None:
    model = write(path, op_model(shape=("batch", 3)))
    assert model.inputs[0].shape == (-1, 3)
    inputs = {"x": np.array([[-1, 0, 1], [2, -2, 3]], np.float32)}
    assert ONNX.run(path, inputs)["y"].tolist() == [[0, 0, 1], [2, 0, 3]]


def test_random_numbers_begin_anew_with_each_sample(path: Path) -> None:
    node = helper.make_node("RandomNormalLike", ["x"], ["y"], seed=1.0)
    model = write(path, model_bytes([node], {"x": (1, 3)}, {"y": (1, 3)}))
    assert model.reset == "reload"


def test_a_softmax_in_signed_integers_is_a_known_fault_on_arm(path: Path) -> None:
    stored = {"scale": np.float32(1 / 256), "zero": np.int8(-128)}
    nodes = [
        helper.make_node("Softmax", ["x"], ["p"]),
        helper.make_node("QuantizeLinear", ["p", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    shapes = {"x": (1, 4)}, {"y": (1, 4)}
    arrays = {name: np.asarray(values) for name, values in stored.items()}
    model = write(path, model_bytes(nodes, *shapes, arrays))
    assert "-128 for 127" in known_faults(model, "aarch64", "1.23.2")[0]
    assert known_faults(model, "aarch64", "1.32.0") == known_faults(model, "x86_64", "1.23.2") == ()


def test_weights_in_another_file_are_refused(path: Path) -> None:
    model = onnx.ModelProto.FromString(convolution())
    onnx.save(model, str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    with pytest.raises(ConversionError, match="keeps its weights in other files") as caught:
        read_onnx(path)
    assert "onnx.save" in caught.value.hint


def test_metadata_that_are_no_text_are_shown_and_damaged_scales_refused(path: Path) -> None:
    content = onnx.ModelProto.FromString(op_model())
    content.producer_name = "PRODUCER"
    helper.set_model_props(content, {"maker": "VALUE"})
    plain = content.SerializeToString()
    model = write(path, plain.replace(b"PRODUCER", b"\xff" * 8).replace(b"VALUE", b"\xfe" * 5))
    assert model.metadata == ("maker",)
    assert model.producer.startswith("\ufffd")
    helper.set_model_props(content, {SCALES_KEY: "VALUE"})
    with pytest.raises(ConversionError, match="damaged .onnx"):
        write(path, content.SerializeToString().replace(b"VALUE", b"\xfe" * 5))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x08\x08" + b"\xff" * 40, b"{}"])
def test_what_is_no_onnx_is_named(path: Path, content: bytes) -> None:
    with pytest.raises(ConversionError, match=r"model\.onnx"):
        write(path, content)


def test_a_file_of_another_suffix_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(convolution())
    assert read_model_file(path).format == "onnx"


def test_mutated_files_are_read_or_refused(path: Path) -> None:
    rng = np.random.default_rng(0)
    content = convolution()
    refused = 0
    for _ in range(500):
        changed = np.frombuffer(content, np.uint8).copy()
        places = rng.integers(0, len(changed), rng.integers(1, 8))
        changed[places] = rng.integers(0, 256, len(places))
        path.write_bytes(changed[: rng.integers(1, len(changed) + 1)].tobytes())
        for read in (read_onnx, ONNX.stored_tensors):
            try:
                read(path)
            except ConversionError:
                refused += 1
    assert refused > 100


def test_a_file_that_kills_the_runtime_or_is_refused_by_it_is_named(path: Path) -> None:
    write(path, op_model("NoSuchOp"))
    with pytest.raises(ConversionError, match="onnxruntime .* cannot run it"):
        ONNX.run(path, {"x": np.zeros(1, np.float32)})
    with pytest.raises(ConversionError, match="takes the inputs"):
        write(path, op_model())
        ONNX.run(path, {"other": np.zeros(1, np.float32)})


def test_a_missing_package_is_named_with_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise runtime_module.PackageNotFoundError(name)

    monkeypatch.setattr(runtime_module, "version", absent)
    with pytest.raises(MissingConvertExtraError) as caught:
        ONNX.host_runtime()
    assert (caught.value.exit_code, caught.value.hint) == (
        3,
        "In a clone of kedge: pip install '.[onnx]'",
    )
