"""An .onnx that is damaged, hostile or not for kedge ends in one message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from converters.errors import ConversionError
from converters.onnx.prepare import prepare_onnx
from converters.onnx.proto import read_proto
from converters.onnx.refusals import check_float_model, fix_shapes
from converters.sources.kinds import identify
from tests.converters.conftest import run_program
from tests.converters.programs.onnx_maker import OnnxMaker

ORIGIN = Path("model.onnx")


def dense(opset: int = 17, **facts: Any) -> OnnxMaker:
    maker = OnnxMaker(opset)
    maker.output(maker.op("MatMul", maker.input(4, **facts), maker.random(4, 3)))
    return maker


def external(folder: Path, location: str, **facts: int) -> Path:
    """A model whose matrix lies in another file."""
    model = dense().model()
    tensor = model.graph.initializer[0]
    del tensor.float_data[:]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **facts}.items():
        tensor.external_data.add(key=key, value=str(value))
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConversionError) as caught:
        read_proto(path)
    assert caught.value.exit_code == 4
    assert caught.value.hint.endswith(".")
    return str(caught.value)


def test_missing_external_data_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    path = external(tmp_path, "w.bin")
    with pytest.raises(ConversionError, match=r"tensor '.*' are in 'w.bin', which is missing"):
        identify(path)
    (tmp_path / "w.bin").write_bytes(b"\0" * 48)
    assert identify(path).kind == "onnx"


def test_external_data_is_read(tmp_path: Path) -> None:
    path = external(tmp_path, "weights/w.bin", offset=8, length=48)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/w.bin").write_bytes(b"\0" * 8 + np.arange(12, dtype=np.float32).tobytes())
    (tensor,) = read_proto(path).graph.initializer
    assert onnx.numpy_helper.to_array(tensor).tolist()[1] == [3, 4, 5]


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("w.bin", "missing"),
        ("../w.bin", "no path inside"),
        ("a/../../w.bin", "no path inside"),
        ("/etc/passwd", "no path inside"),
        ("", "no path inside"),
        ("folder", "no file"),
        ("link.bin", "a link"),
        ("linked/w.bin", "a link"),
    ],
)
def test_external_data_lies_in_the_folder_of_the_model(
    tmp_path: Path, location: str, words: str
) -> None:
    (tmp_path / "w.bin").write_bytes(b"\0" * 100)
    folder = tmp_path / "model"
    (folder / "folder").mkdir(parents=True)
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    (folder / "linked").symlink_to(tmp_path)
    assert words in refusal(external(folder, location))


def test_external_data_that_is_too_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"\0" * 40)
    assert "too few" in refusal(external(tmp_path, "w.bin", length=48))
    assert "too few" in refusal(external(tmp_path, "w.bin", offset=60))


def test_a_file_of_more_than_2_gb_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)
    assert "more than 2 GB" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"\x08", b"\x08\x0a", b"\x08\x0a:\xff\xff\xff\xff\x07"])
def test_what_is_cut_off_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert "damaged" in refusal(path)


def checked(model: Any) -> str:
    with pytest.raises(ConversionError) as caught:
        check_float_model(model, ORIGIN)
    return str(caught.value)


def test_a_quantized_model_is_refused() -> None:
    maker = OnnxMaker(17)
    scale, zero = maker.constant(np.float32(0.1)), maker.constant(0, np.uint8)
    x = maker.op("QuantizeLinear", maker.input(4), scale, zero)
    maker.output(maker.op("DequantizeLinear", x, scale, zero))
    assert "quantized already" in checked(maker.model())


def test_ops_of_other_domains_are_refused() -> None:
    for domain in ("com.microsoft", "ai.onnx.ml", "custom"):
        model = dense().model()
        model.graph.node[0].domain = domain
        model.opset_import.append(helper.make_opsetid(domain, 1))
        assert domain in checked(model)


@pytest.mark.parametrize("opset", [5, 99])
def test_an_opset_that_is_not_known_is_refused(opset: int) -> None:
    assert f"opset {opset}" in checked(dense(opset).model())


def fixed(maker: OnnxMaker, **shapes: tuple[int, ...]) -> list[list[int]]:
    model = maker.model()
    fix_shapes(model, ORIGIN, {name.replace("single", ""): own for name, own in shapes.items()})
    return [[d.dim_value for d in t.type.tensor_type.shape.dim] for t in model.graph.input]


@pytest.mark.parametrize("batch", ["n", 1, -1])
def test_the_batch_is_brought_to_one(batch: Any) -> None:
    assert fixed(dense(batch=batch)) == [[1, 4]]


def test_open_axes_get_the_sizes_of_the_data() -> None:
    maker = OnnxMaker()
    maker.output(maker.op("Relu", maker.input(3, "height", "width")))
    assert fixed(maker, single=(1, 3, 32, 24)) == [[1, 3, 32, 24]]
    for shapes in ({}, {"single": (1, 4, 32, 24)}, {"single": (1, 3)}):
        with pytest.raises(ConversionError, match=r"\(n,3,height,width\), which is open") as caught:
            fixed(maker, **shapes)
        assert "(1,3,…,…)" in caught.value.hint


def test_a_batch_of_eight_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"\(8,4\), expected a batch axis first"):
        fixed(dense(batch=8))


def test_a_loop_is_named_by_its_node(tmp_path: Path) -> None:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes"]),
            helper.make_node("Relu", ["before"], ["behind"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("behind", TensorProto.FLOAT, None),
        ],
    )
    maker = OnnxMaker()
    x = maker.input(4)
    times = maker.op("Cast", maker.op("ReduceMax", x, keepdims=0), to=TensorProto.INT64)
    maker.output(maker.op("Loop", times, "", x, body=body))
    from converters.graph.onnx.read import read_onnx_graph, take_constants

    with pytest.raises(ConversionError, match=r"'/(cast/1|loop/2)' \((Cast|Loop)") as caught:
        model = prepare_onnx(maker.content(), ORIGIN, {})
        read_onnx_graph(*take_constants(model), ORIGIN)
    assert caught.value.exit_code == 4


def test_a_file_that_onnxruntime_refuses_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    maker = OnnxMaker()
    maker.output(maker.op("MatMul", maker.input(4), maker.random(5, 3)))
    path.write_bytes(maker.content())
    with pytest.raises(ConversionError, match="onnxruntime refuses it") as caught:
        prepare_onnx(path, path, {})
    assert "\n" not in str(caught.value)


def test_what_libraries_write_is_no_part_of_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONVERBOSE", "1")  # writes much to standard error
    maker = OnnxMaker()
    maker.output(maker.op("MatMul", maker.input(4), maker.random(5, 3)))
    with pytest.raises(ConversionError) as caught:
        prepare_onnx(maker.content(), ORIGIN, {})
    assert str(caught.value).startswith("model.onnx: onnxruntime refuses it")


def test_onnxruntime_keeps_no_identifier_of_the_computer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    prepare_onnx(dense().content(), ORIGIN, {})
    assert not list(tmp_path.rglob("*deviceid*"))


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.FLOAT16])
def test_other_floats_become_float32(kind: int) -> None:
    maker = OnnxMaker()
    x = maker.input(4, dtype=kind)
    array = np.ones((4, 3), helper.tensor_dtype_to_np_dtype(kind))
    maker.output(maker.op("MatMul", x, maker.constant(array)))
    model = maker.model()
    model.graph.output[0].type.tensor_type.elem_type = kind
    model = prepare_onnx(model.SerializeToString(), ORIGIN, {})
    types = {t.type.tensor_type.elem_type for t in (*model.graph.input, *model.graph.output)}
    assert types | {tensor.data_type for tensor in model.graph.initializer} == {TensorProto.FLOAT}


def test_a_model_is_recognized_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(dense().content())
    assert identify(path).kind == "onnx"
    path = tmp_path / "cut.onnx"
    path.write_bytes(dense().content()[:60])
    with pytest.raises(ConversionError, match="cut off or damaged"):
        identify(path)


def test_damaged_files_end_in_a_message(tmp_path: Path) -> None:
    ends = json.loads(run_program("onnx_mutations", tmp_path, "200").splitlines()[-1])
    assert not {"hung", "another error"} & set(ends), ends
    assert ends["refused"] > 50
