from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.model_file import Operator
from converters.tflite.reader import read_model
from tests.converters.tflite.tflite_maker import model_object, op_model, packed, tensor
from tests.tiny_model import relu_model, with_changes


def refused(path: Path) -> str:
    with pytest.raises(ConversionError) as caught:
        read_model(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    return str(caught.value)


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    return path


def test_it_tells_what_is_in_a_file_that_kedge_wrote(digits_ptq: Conversion) -> None:
    model = read_model(digits_ptq.model)
    assert (model.sha256, model.size_bytes) == (digits_ptq.model_sha256, digits_ptq.model_bytes)
    ops = {operator.name: operator for operator in model.operators}
    assert ops["CONV_2D"] == Operator("CONV_2D", 3, 3, custom=False)
    assert model.subgraphs == 1
    assert model.recorded_min_runtime == "1.14.0"
    assert not model.edgetpu
    kernels = [x for x in model.tensors if x.is_constant and len(x.shape) == 4]
    assert sorted(x.scales for x in kernels) == [16, 32, 32]
    assert all(x.bytes == len(range(x.shape[0])) * 9 * x.shape[3] for x in kernels)
    (spec,) = model.inputs
    assert (spec.shape, spec.dtype, spec.zero_point) == ((1, 8, 8, 1), "int8", -128)


def test_a_file_made_for_the_edge_tpu_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, op_model("CUSTOM", 1, "edgetpu-custom-op"))
    assert not read_model(path).edgetpu  # named, but never used
    path.write_bytes(packed(model_object("CUSTOM", 1, "edgetpu-custom-op", use=True)))
    model = read_model(path)
    assert model.edgetpu
    assert model.operators == (Operator("edgetpu-custom-op", 1, 1, custom=True),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a .tflite: it is empty"),
        (b"TFL3", "is not a .tflite: it is a text that begins with 'TFL3'"),
        (b"\x89PNG\r\n\x1a\n0000", "is not a .tflite: it is a PNG picture"),
        (b"\x08\0\0\0TFL3", "is a damaged or cut-off .tflite of 8 bytes"),
        (b"\xff\xff\xff\xffTFL3" + b"\xff" * 100, "is a damaged or cut-off .tflite of 108 bytes"),
        (b"\x08\0\0\0TFL3" + b"\0" * 100, "is a damaged or cut-off .tflite of 108 bytes"),
    ],
)
def test_what_is_no_tflite_is_said(tmp_path: Path, content: bytes, message: str) -> None:
    assert message in refused(written(tmp_path, content))


def test_a_folder_and_a_missing_file_are_said(tmp_path: Path) -> None:
    assert "is a folder, expected a .tflite" in refused(tmp_path)
    assert "not found" in refused(tmp_path / "absent.tflite")


@pytest.mark.parametrize("scales", [[float("nan")], [float("inf")], [1.0, float("nan")]])
def test_a_scale_that_is_no_number_is_said(tmp_path: Path, scales: list[float]) -> None:
    def change(graph: Any) -> None:
        quantization = schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = scales, [0] * len(scales)
        graph.tensors[0].quantization = quantization

    path = tmp_path / "model.tflite"
    path.write_bytes(with_changes(relu_model(), change))
    with pytest.raises(ConversionError, match="damaged.*a scale is not a finite number"):
        read_model(path)


def test_every_truncation_of_a_small_file_is_noticed(tmp_path: Path) -> None:
    whole = packed(model_object(use=True))
    path = written(tmp_path, whole)
    assert read_model(path).operators[0].name == "RELU"
    for size in range(len(whole)):
        assert "model.tflite" in refused(written(tmp_path, whole[:size]))


def test_truncations_of_a_real_file_are_noticed(tmp_path: Path, digits_ptq: Conversion) -> None:
    whole = digits_ptq.model.read_bytes()
    ends = range(len(whole) - 200, len(whole))
    for size in [*range(0, 200), *range(200, len(whole), 97), *ends]:
        assert "model.tflite" in refused(written(tmp_path, whole[:size]))


@pytest.fixture(scope="module")
def real(digits_ptq: Conversion, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path]:
    return digits_ptq.model.read_bytes(), tmp_path_factory.mktemp("mutated") / "model.tflite"


# A file of 25 KB is read in milliseconds; a mutated one must not take much longer.
@settings(max_examples=300, deadline=2_000)
@given(
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)),
        min_size=1,
        max_size=8,
    )
)
def test_a_mutated_file_is_read_or_refused_and_nothing_else(
    real: tuple[bytes, Path], changes: list[tuple[float, bytes]]
) -> None:
    content, path = bytearray(real[0]), real[1]
    for where, what in changes:
        # The structure is at both ends of the file, the weights are between them.
        at = 8 + int(where * (len(content) - 8 - len(what)))
        content[at : at + len(what)] = what
    path.write_bytes(content)
    try:
        read_model(path)
    except ConversionError as error:
        assert str(path) in str(error)


@settings(max_examples=200, deadline=2_000)
@given(st.integers(0, 2**31), st.integers(1, 4))
def test_mutated_structure_is_read_or_refused_and_nothing_else(
    real: tuple[bytes, Path], number: int, width: int
) -> None:
    content, path = bytearray(packed(model_object(use=True))), real[1]
    at = 8 + number % (len(content) - 12)
    content[at : at + width] = (number * 2654435761 % 2**32).to_bytes(4, "little")[:width]
    path.write_bytes(content)
    try:
        read_model(path)
    except ConversionError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    ("offset", "size", "message"),
    [(4096, 8, "buffer 1 ends at byte 4104"), (16, 2**63, "buffer 1 ends at byte"), (64, 32, "")],
)
def test_weights_outside_of_the_flatbuffer_must_be_in_the_file(
    tmp_path: Path, offset: int, size: int, message: str
) -> None:
    model = model_object()
    model.subgraphs[0].tensors.append(tensor("w", buffer=1, shape=(8,)))
    outside = schema.BufferT()
    outside.offset, outside.size = offset, size
    model.buffers.append(outside)
    path = written(tmp_path, packed(model))
    if message:
        assert message in refused(path)
    else:
        weights = read_model(path).tensors[2]
        assert (weights.is_constant, weights.bytes) == (True, size)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: setattr(m.subgraphs[0], "inputs", [9]), "input or output is tensor 9 of 2"),
        (lambda m: setattr(m.subgraphs[0].operators[0], "inputs", [7]), "uses tensor 7 of 2"),
        (lambda m: setattr(m.subgraphs[0].operators[0], "opcodeIndex", 3), "points beyond its end"),
        (lambda m: setattr(m.subgraphs[0].tensors[0], "buffer", 5), "points beyond its end"),
        (lambda m: setattr(m.subgraphs[0].tensors[0], "shape", [-7]), "the shape [-7]"),
        (lambda m: setattr(m, "subgraphs", []), "it has no subgraph"),
        (lambda m: setattr(m, "version", 2), "of schema version 2, expected 3"),
    ],
)
def test_a_number_that_points_nowhere_is_refused(
    tmp_path: Path, change: Callable[..., Any], message: str
) -> None:
    model = model_object(use=True)
    change(model)
    assert message in refused(written(tmp_path, packed(model)))


def test_a_file_that_points_at_the_same_bytes_again_and_again_ends_soon(tmp_path: Path) -> None:
    builder = flatbuffers.Builder(1024)
    one = tensor("x").Pack(builder)
    count = 3_000

    def repeated(offset: int) -> int:
        builder.StartVector(4, count, 4)
        for _ in range(count):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    tensors = repeated(one)
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    graph = schema.SubGraphEnd(builder)
    graphs = repeated(graph)
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    path = written(tmp_path, bytes(builder.Output()))
    start = time.monotonic()
    assert "point outside of the file" in refused(path)
    assert time.monotonic() - start < 30
