"""Reads an ONNX model as a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.errors import ConversionError
from converters.graph.fold import fold_graph
from converters.graph.node import ACTIVATION, INPUT, Graph
from converters.graph.onnx.activations import ACTIVATIONS
from converters.graph.onnx.axes import Axis, OnnxValue, flatten, new_axis
from converters.graph.onnx.convolutions import CONVOLUTIONS
from converters.graph.onnx.einsums import EINSUMS
from converters.graph.onnx.elementwise import ARITHMETIC
from converters.graph.onnx.input_layout import channels_axis
from converters.graph.onnx.joins import JOINS
from converters.graph.onnx.moves import MOVES
from converters.graph.onnx.normalizations import NORMALIZATIONS
from converters.graph.onnx.onnx_node import OnnxNode, plain_name
from converters.graph.onnx.pads import PADS
from converters.graph.onnx.pools import POOLS
from converters.graph.onnx.products import PRODUCTS
from converters.graph.onnx.reader import OnnxReader
from converters.graph.onnx.recurrent_layers import RECURRENT_LAYERS
from converters.graph.onnx.reductions import REDUCTIONS

Array = npt.NDArray[Any]

#: Op to the function that reads it.
READERS: dict[str, Callable[[OnnxReader, OnnxNode], Any]] = {
    **ACTIVATIONS,
    **ARITHMETIC,
    **CONVOLUTIONS,
    **EINSUMS,
    **JOINS,
    **MOVES,
    **NORMALIZATIONS,
    **PADS,
    **POOLS,
    **PRODUCTS,
    **RECURRENT_LAYERS,
    **REDUCTIONS,
}
#: Functions that only occur inside of functions that are recognized.
_INNER = ("erf", "sign")
_HINTS = {
    "If": "Export the model for one way through it: the condition depends on the data.",
    "Loop": "Export the model with its loops unrolled, for a fixed length.",
    "Scan": "Export the model with its loops unrolled, for a fixed length.",
    "NonMaxSuppression": "Cut the model before it, and choose boxes in the application.",
    "TopK": "Cut the model before it, and choose the best in the application.",
    "ArgMax": "End the model at the scores, and take the largest in the application.",
    "NonZero": "Cut the model before it: the size of its output depends on the data.",
}


@dataclass(frozen=True)
class Place:
    """A tensor of ONNX, and how it lies in the output of a node."""

    tensor: str
    """Name of the tensor of ONNX."""
    axes: tuple[tuple[int, ...], ...]
    """Sizes of the parts of each of its axes."""
    order: tuple[int, ...]
    """Parts, counted along its axes, in the order of the output."""
    shape: tuple[int, ...]
    """Shape of the output, without the batch axis."""
    source_axes: tuple[int, ...] = ()
    """Axes of the tensor without the batch axis, in the order of the node's output, for an input or
    output of the model. Empty where both have one order."""

    @classmethod
    def of(cls, tensor: str, value: OnnxValue, last: int | None = None) -> Place:
        """The place of a tensor that was read.

        Args:
            tensor: Name of the tensor.
            value: The tensor.
            last: Axis that the output has as its last one, in an order that is otherwise that of
                ONNX; None for the order of ONNX.
        """
        axes = list(range(len(value.axes) - 1))
        if last is not None:
            axes.append(axes.pop(last - 1))
        parts = flatten(value.axes)
        return cls(
            tensor,
            tuple(tuple(part.size for part in axis) for axis in value.axes),
            tuple(parts.index(part) for part in value.stored),
            value.ref.shape,
            () if axes == sorted(axes) else tuple(axes),
        )

    def restore(self, array: Array) -> Array:
        """Bring numbers of the output, of one sample, to the shape of the tensor."""
        sizes = [size for axis in self.axes for size in axis]
        turned = array.reshape([sizes[part] for part in self.order])
        shape = tuple(int(np.prod(axis, dtype=int)) for axis in self.axes)
        return turned.transpose(np.argsort(self.order)).reshape(shape)

    def bring(self, array: Array) -> Array:
        """Bring the tensor's numbers, of one sample, to the shape and order of the output."""
        sizes = [size for axis in self.axes for size in axis]
        return array.reshape(sizes).transpose(self.order).reshape(self.shape)


@dataclass(frozen=True)
class OnnxGraph:
    """A graph, and where the tensors of the file are in it."""

    graph: Graph
    """Folded graph; its inputs and outputs stand in the order of the file."""
    inputs: tuple[Place, ...]
    """Inputs of the file, in the order of those of the graph."""
    outputs: tuple[Place, ...]
    """Outputs of the file, in the order of those of the graph."""
    inner: Mapping[str, Place]
    """Name of a node of the unfolded graph to the tensor that it gives; not all nodes are here."""
    unfolded: Graph
    """The graph before it was folded."""


def take_constants(model: Any) -> tuple[Any, dict[str, Array]]:
    """Take the stored tensors out of a model: the memory of the two can be freed apart.

    Args:
        model: `onnx.ModelProto`; it has no stored tensors afterwards.

    Returns:
        Copy of the model without them, and name of each to its numbers, any shape; floats are
        float32.
    """
    constants = {tensor.name: _floats(tensor) for tensor in model.graph.initializer}
    del model.graph.initializer[:]
    rest = type(model)()
    rest.CopyFrom(model)
    return rest, constants


def read_onnx_graph(model: Any, tensors: Mapping[str, Array], origin: Path) -> OnnxGraph:
    """Read a checked ONNX model as a graph.

    Args:
        model: `onnx.ModelProto` of a batch of one, its constants folded and its shapes inferred,
            without its stored tensors.
        tensors: Name of each stored tensor to its numbers, any shape and dtype.
        origin: File of the model; messages name it.

    Raises:
        ConversionError: A node cannot be represented; the message names the node and its op.
    """
    from converters.graph.patterns import recognize_functions  # by SciPy: slow to import

    graph = model.graph
    constants = {**tensors, **_constants(graph)}
    reader = OnnxReader(origin, constants, _shapes(graph))
    nodes = _nodes(model)
    inputs = _add_inputs(reader, graph, nodes)
    places: dict[str, Place] = {}
    for node in nodes:
        for name, value in zip(node.outputs, _read(reader, node), strict=False):
            if not name or value is None:
                continue
            reader.values[name] = value
            if value.ref.name not in places:
                places[value.ref.name] = Place.of(name, value)
    outputs = [_output(reader, tensor.name) for tensor in graph.output]
    whole = reader.builder.graph(
        plain_name(origin.stem, set()), [value.ref for value, _ in outputs]
    )
    whole = recognize_functions(whole)
    for left in whole.nodes:
        if left.op == ACTIVATION and left.attributes["function"] in _INNER:
            raise ConversionError(
                f"{origin}: node {left.name!r} ({left.words}) cannot be brought to kedge's graph",
                "Export the model without it; of GELU, export the whole function.",
            )
    return OnnxGraph(
        fold_graph(whole),
        tuple(Place.of(name, reader.values[name], last) for name, last in inputs.items()),
        tuple(
            Place.of(tensor.name, value, last)
            for tensor, (value, last) in zip(graph.output, outputs, strict=True)
        ),
        {
            node.name: places[node.name]
            for node in whole.nodes
            if node.name in places and not node.attributes.get("masks")
        },
        whole,
    )


def _read(reader: OnnxReader, node: OnnxNode) -> Sequence[OnnxValue | None]:
    if node.kind not in READERS:
        raise reader.refusal(node, hint=_HINTS.get(node.kind, ""))
    try:
        answer = READERS[node.kind](reader, node)
    except (ValueError, IndexError, KeyError, AssertionError, TypeError) as error:
        raise reader.refusal(node, "in a form that kedge does not know") from error
    return answer if isinstance(answer, tuple) else (answer,)


def _constants(graph: Any) -> dict[str, Array]:
    from onnx import helper

    """Numbers of the nodes that are constants."""
    constants = {}
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                value = helper.get_attribute_value(attribute)
                array = _floats(value) if attribute.name == "value" else np.asarray(value)
                constants[node.output[0]] = array
    return constants


def _floats(tensor: Any) -> Array:
    """Numbers of a tensor; floats as float32."""
    from onnx import numpy_helper

    array: Array = numpy_helper.to_array(tensor)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor whose shape is known."""
    shapes = {}
    for tensor in (*graph.input, *graph.value_info, *graph.output):
        dims = tensor.type.tensor_type.shape.dim
        if tensor.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            shapes[tensor.name] = tuple(int(dim.dim_value) for dim in dims)
    return shapes


def _nodes(model: Any) -> list[OnnxNode]:
    from onnx import helper

    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    taken = {plain_name(tensor.name, set()) for tensor in model.graph.input}
    nodes = []
    for node in model.graph.node:
        if node.op_type == "Constant":
            continue
        label = node.name or node.output[0]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        nodes.append(
            OnnxNode(
                plain_name(label, taken),
                label,
                node.op_type,
                tuple(node.input),
                tuple(node.output),
                attributes,
                opset,
            )
        )
    return _with_used_outputs(nodes, {tensor.name for tensor in model.graph.output})


def _with_used_outputs(nodes: list[OnnxNode], outputs: set[str]) -> list[OnnxNode]:
    """Nodes without the names of outputs that nobody takes."""
    used = outputs | {name for node in nodes for name in node.inputs}
    return [
        OnnxNode(
            node.name,
            node.label,
            node.kind,
            node.inputs,
            tuple(name if name in used else "" for name in node.outputs),
            node.attributes,
            node.opset,
        )
        for node in nodes
    ]


def _add_inputs(reader: OnnxReader, graph: Any, nodes: Sequence[OnnxNode]) -> dict[str, int | None]:
    """Add the inputs of the model, images and sequences with their channels last.

    Returns:
        Name of each input to the axis that is the last one now; None where the order stayed.
    """
    from onnx import helper

    taken: set[str] = set()
    names = {}
    for tensor in graph.input:
        if tensor.name in reader.constants:
            continue
        shape = reader.shapes[tensor.name]
        axes = tuple(new_axis(size) for size in shape)
        last = channels_axis(tensor.name, shape, nodes, reader.constants)
        order = [axis for axis in range(1, len(shape)) if axis != last] + ([last] if last else [])
        dtype = str(helper.tensor_dtype_to_np_dtype(tensor.type.tensor_type.elem_type))
        own = tuple(shape[axis] for axis in order)
        ref = reader.builder.input(plain_name(tensor.name, taken), own, dtype)
        stored = flatten([axes[axis] for axis in order])
        reader.values[tensor.name] = OnnxValue(ref, stored, axes)
        names[tensor.name] = last
    return names


def _output(reader: OnnxReader, name: str) -> tuple[OnnxValue, int | None]:
    """An output of the model with an axis for each of ONNX, its channels last where they are.

    Returns:
        The output, and the axis of ONNX that is the last one; None in the order of ONNX.
    """
    if name not in reader.values:
        raise ConversionError(
            f"{reader.origin}: its output {name!r} does not depend on an input",
            "Export the model with outputs that are computed from its inputs.",
        )
    value = reader.values[name]
    axes: list[Axis] = list(value.axes[1:])
    turned = [*axes[1:], *axes[:1]]
    # An image whose axes must be moved anyway gets its channels last, too.
    is_image = len(axes) == 3 and (not axes[0] or value.stored != flatten(axes))
    is_turned = is_image or len(axes) == 2 and flatten(turned) == value.stored != flatten(axes)
    groups = turned if is_turned else axes
    if value.axes[:1] != ((),):
        raise ConversionError(
            f"{reader.origin}: its output {name!r} has the shape {list(value.shape)}, expected a "
            "batch axis of 1 first",
            "Export the model with outputs (batch, …).",
        )
    ref = reader.arrange(value, groups, plain_name(name, set()))
    if ref.name in [input_value.ref.name for input_value in _input_values(reader)]:
        ref = reader.builder.add(f"{ref.name}_as_output", "reshape", (ref,), ref.shape)
    return OnnxValue(ref, flatten(groups), value.axes), 1 if is_turned else None


def _input_values(reader: OnnxReader) -> list[OnnxValue]:
    return [v for v in reader.values.values() if reader.gives(v.ref, INPUT)]
