"""An .onnx as a source: everything trains, on the graph that is read from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.fields import from_keras_outputs, select_field
from converters.data.first_look import read_array_shapes
from converters.data.names import OUTPUT_NAME, plain_names
from converters.digest import bytes_of, sha256_of
from converters.errors import ConversionError
from converters.free_memory import return_free_memory
from converters.graph.node import Graph
from converters.graph.onnx.read import OnnxGraph, Place, read_onnx_graph, take_constants
from converters.onnx.prepare import prepare_onnx
from converters.onnx.proto import parse_proto
from converters.onnx.refusals import InputShapes
from converters.onnx.runtime import import_onnxruntime
from converters.sources.import_check import Inner, check_import
from converters.sources.inputs_outputs import (
    ModelTensor,
    field_names,
    gives_probabilities,
)
from converters.sources.loaded_model import LoadedModel, model_inputs
from converters.sources.onnx_external import check_external_files
from converters.sources.source_file import ONNX, SourceFile
from converters.sources.wire import WireFormatError, message_fields

Array = npt.NDArray[Any]

#: Makes, of inputs and outputs, the function that computes a model.
Predictor = Callable[[Sequence[ModelTensor], Sequence[ModelTensor]], Callable[[Array], Array]]

#: Numbers of the fields of ONNX's ModelProto that kedge knows it by.
_IR_VERSION, _GRAPH, _OPSETS = 1, 7, 8
_KNOWN_FIELDS = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26))
#: Bytes at the beginning of a file that must look like a ModelProto.
_HEAD_BYTES = 4096


def recognise_onnx(path: Path) -> SourceFile | None:
    """Look whether a path holds an .onnx, by its first fields.

    Raises:
        ConversionError: It is called .onnx and is damaged, or a file with its values is missing.
    """
    if path.is_dir():
        return None
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if _is_onnx(head, path.stat().st_size):
        check_external_files(path)
        return SourceFile(path, ONNX)
    if path.suffix == ".onnx":
        raise ConversionError(
            f"{path}: is no ONNX model, or is cut off or damaged",
            "Copy it again, or export it again.",
        )
    return None


def _is_onnx(head: bytes, size: int) -> bool:
    """Whether a file begins with the fields of a ModelProto: IR version, then up to the graph."""
    fields: set[int] = set()
    if head[:1] != b"\x08":
        return False
    try:
        for number, value in message_fields(memoryview(head)):
            if number not in _KNOWN_FIELDS:
                return False
            if number == _IR_VERSION and not (isinstance(value, int) and 0 < value < 1000):
                return False
            fields.add(number)
    except WireFormatError:
        # The graph is longer than the head.
        return _IR_VERSION in fields and size > len(head)
    return {_IR_VERSION, _GRAPH, _OPSETS} <= fields


def load_onnx(source: SourceFile, own: Mapping[str, Any]) -> LoadedModel:  # noqa: ARG001
    """Load a float .onnx.

    Args:
        source: File.
        own: Not used: an .onnx has no layers of the user.

    Raises:
        MissingConvertExtraError: Package `onnx` or `onnxruntime` is not installed.
        ConversionError: It cannot be read, or brought to the graph; the message names what.
    """
    return load_onnx_file(source.path, source.path, source.kind, source.input_shapes)


def with_data_shapes(source: SourceFile, data: Path) -> SourceFile:
    """The file, whose open axes get the sizes that the user's arrays have.

    Args:
        source: Model of any kind; others than .onnx stay what they are.
        data: Data of the user; only an .npz has shapes.
    """
    if source.kind != ONNX or not data.is_file():
        return source
    arrays, _ = read_array_shapes(data)
    shapes = {}
    for name, shape in arrays.items():
        split, _, field = name.partition(".")
        if split in ("x_train", "x_test") and len(shape) > 1:
            shapes[field] = (1, *shape[1:])
    return replace(source, input_shapes=shapes)


def load_onnx_file(
    file: Path,
    origin: Path,
    kind: str,
    shapes: InputShapes | None = None,
    predictor: Predictor | None = None,
) -> LoadedModel:
    """Load a float .onnx.

    Inputs and outputs of the model have their channels last, as the graph's; `predict` takes and
    gives them so, whatever the layout of the file. The graph is compared with `predict`.

    Args:
        file: The .onnx, which may be what an exporter wrote; it is not needed afterwards.
        origin: Model that the user named; it stands in messages.
        kind: Kind of the source, a key of `SOURCES`.
        shapes: Shapes for inputs that the file leaves open, by the names that data knows them by,
            "" for a single one; None for none.
        predictor: Function of inputs and outputs to what computes the model; None for ONNX Runtime.

    Raises:
        MissingConvertExtraError: Package `onnx` or `onnxruntime` is not installed.
        ConversionError: It cannot be read, or brought to the graph; the message names what.
    """
    model = prepare_onnx(file, origin, shapes or {})
    session = _session(model.SerializeToString()) if predictor is None else None
    model, constants = take_constants(model)
    onnx_graph = read_onnx_graph(model, constants, origin)
    del constants  # a large model is in memory often enough
    places = onnx_graph.inputs, onnx_graph.outputs
    inputs, outputs = _inputs_and_outputs(origin, onnx_graph)
    graph = _with_names(onnx_graph.graph, inputs)
    del onnx_graph, model
    return_free_memory()
    if predictor is None:
        predict = _predictor(session, *places, inputs, outputs)
    else:
        predict = predictor(inputs, outputs)

    check_import(
        origin, graph, inputs, outputs, predict,
        lambda: _read_inner(file, origin, shapes or {}, inputs),
    )  # fmt: skip
    return LoadedModel(
        path=origin,
        kind=kind,
        keras_model=None,
        predict=predict,
        function=None,
        inputs=inputs,
        outputs=outputs,
        probabilities=gives_probabilities(predict, inputs, outputs, None),
        sha256=sha256_of(file),
        size_bytes=bytes_of(file),
        graph_reader=lambda: graph,
        unused=_unused(graph, inputs),
    )


def _read_inner(
    file: Path, origin: Path, shapes: InputShapes, inputs: Sequence[ModelTensor]
) -> Inner:
    """Read the file again, for the values inside of it."""
    model = prepare_onnx(file, origin, shapes)
    content = model.SerializeToString()
    inner = read_onnx_graph(*take_constants(model), origin)
    return Inner(
        _with_names(inner.unfolded, inputs),
        lambda batch: _values_inside(content, inner, inputs, batch),
    )


def _inputs_and_outputs(
    origin: Path, onnx_graph: OnnxGraph
) -> tuple[tuple[ModelTensor, ...], tuple[ModelTensor, ...]]:
    nodes = onnx_graph.graph.by_name()
    specs = []
    for name, place in zip(onnx_graph.graph.inputs, onnx_graph.inputs, strict=True):
        dtype = str(nodes[name].attributes.get("dtype", "float32"))
        specs.append((place.tensor, (None, *place.shape), dtype))
    inputs = tuple(
        replace(tensor, source_axes=place.source_axes)
        for tensor, place in zip(model_inputs(origin, specs), onnx_graph.inputs, strict=True)
    )
    names = plain_names([place.tensor for place in onnx_graph.outputs], OUTPUT_NAME)
    outputs = tuple(
        ModelTensor(name, place.shape, source_axes=place.source_axes)
        for name, place in zip(names, onnx_graph.outputs, strict=True)
    )
    return inputs, outputs


def _with_names(graph: Graph, inputs: Sequence[ModelTensor]) -> Graph:
    """The graph, whose inputs are called what the inputs of the model are called."""
    taken = set(graph.by_name())
    names = {
        old: tensor.name
        for old, tensor in zip(graph.inputs, inputs, strict=True)
        if tensor.name not in taken
    }
    nodes = tuple(
        replace(
            node,
            name=names.get(node.name, node.name),
            inputs=tuple(names.get(name, name) for name in node.inputs),
        )
        for node in graph.nodes
    )
    return replace(graph, nodes=nodes)


def _session(content: bytes) -> Any:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False
    # The next level keeps the weights in a second form beside them.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _feeds(places: Sequence[Place], inputs: Sequence[ModelTensor], row: Array) -> dict[str, Array]:
    """Inputs of one sample in the layout of the file."""
    fields = field_names(inputs) or ("",)
    return {
        place.tensor: place.restore(select_field(row, field).astype(tensor.dtype))
        for place, tensor, field in zip(places, inputs, fields, strict=True)
    }


def _predictor(
    session: Any,
    places: Sequence[Place],
    output_places: Sequence[Place],
    inputs: Sequence[ModelTensor],
    outputs: Sequence[ModelTensor],
) -> Callable[[Array], Array]:
    names = [place.tensor for place in output_places]

    def predict(batch: Array) -> Array:
        rows: list[list[Array]] = [[] for _ in names]
        for row in batch:
            answers = session.run(names, _feeds(places, inputs, row))
            for own, place, answer in zip(rows, output_places, answers, strict=True):
                own.append(place.bring(answer).astype(np.float32))
        arrays = [
            np.stack(own) if own else np.zeros((0, *place.shape), np.float32)
            for own, place in zip(rows, output_places, strict=True)
        ]
        return from_keras_outputs(arrays if len(arrays) > 1 else arrays[0], field_names(outputs))

    return predict


def _values_inside(
    content: bytes, onnx_graph: OnnxGraph, inputs: Sequence[ModelTensor], batch: Array
) -> dict[str, Array]:
    """Values of the tensors between inputs and outputs, by the names of the graph's nodes."""
    model = parse_proto(content, Path("model.onnx"))
    known = {tensor.name for tensor in model.graph.output}
    by_tensor = {place.tensor: (name, place) for name, place in onnx_graph.inner.items()}
    for value in model.graph.value_info:
        if value.name in by_tensor and value.name not in known:
            model.graph.output.append(value)
    session = _session(model.SerializeToString())
    wanted = [tensor.name for tensor in session.get_outputs() if tensor.name in by_tensor]
    rows = [session.run(wanted, _feeds(onnx_graph.inputs, inputs, row)) for row in batch]
    values = {}
    for number, tensor in enumerate(wanted):
        name, place = by_tensor[tensor]
        values[name] = np.stack([place.bring(row[number]) for row in rows]).astype(np.float32)
    return values


def _unused(graph: Graph, inputs: Sequence[ModelTensor]) -> tuple[str, ...]:
    """Names of the inputs that no output depends on."""
    used = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.name in used:
            used |= set(node.inputs)
    return tuple(
        tensor.name for name, tensor in zip(graph.inputs, inputs, strict=True) if name not in used
    )
