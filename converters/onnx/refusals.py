"""What makes an .onnx one that kedge does not train or convert. Pure; looks at a ModelProto."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from converters.data.names import plain_names
from converters.errors import ConversionError
from converters.onnx.proto import graphs_in

#: Name by which data knows an input, "" for a single one, to its shape with the batch axis.
InputShapes = Mapping[str, tuple[int, ...]]

#: Oldest version of ONNX's ops that is read.
_OLDEST_OPSET = 9
#: Domains of ONNX's own ops.
_OWN = ("", "ai.onnx")
_QUANTIZED = (
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv"),
    *("QLinearMatMul", "ConvInteger", "MatMulInteger", "MatMulNBits", "QLinearAdd", "QGemm"),
)
_DOMAIN_HINTS = {
    "ai.onnx.ml": "Trees and other models of scikit-learn do not become networks; of a pipeline, "
    "export the network alone.",
    "com.microsoft": "Give the .onnx as it was before onnxruntime optimized it.",
}


def check_float_model(model: Any, origin: Path) -> None:
    """Refuse a model that was quantized, or has ops that ONNX does not define.

    Args:
        model: `onnx.ModelProto`.
        origin: File of the model, for messages.

    Raises:
        ConversionError: The message says what was found.
    """
    from onnx import defs

    versions = {entry.domain: entry.version for entry in model.opset_import}
    version = next((versions[name] for name in _OWN if name in versions), 0)
    newest = defs.onnx_opset_version()
    if version > newest:
        raise ConversionError(
            f"{origin}: uses opset {version}; package onnx knows {newest} and older ones",
            f"Export it with opset {min(newest, 20)}, or bring package onnx up to date.",
        )
    if version < _OLDEST_OPSET:
        raise ConversionError(
            f"{origin}: uses opset {version or 'of no known domain'}, expected {_OLDEST_OPSET} "
            "or newer",
            "Export it again, with opset 17 or newer.",
        )
    local = {(function.domain, function.name) for function in model.functions}
    for graph in graphs_in(model.graph):
        for node in graph.node:
            _check_node(node, origin, local)


def _check_node(node: Any, origin: Path, local: set[tuple[str, str]]) -> None:
    label = node.name or (node.output[0] if node.output else "")
    if node.op_type in _QUANTIZED or node.op_type.startswith("QLinear"):
        raise ConversionError(
            f"{origin}: was quantized already (node {label!r} is {node.op_type}): the precision "
            "that rounding removed cannot be restored",
            "Give the float .onnx that it was made from; `kedge push` and `kedge bench` take it as "
            "it is.",
        )
    if node.domain not in _OWN and (node.domain, node.op_type) not in local:
        raise ConversionError(
            f"{origin}: node {label!r} is {node.op_type} of the domain {node.domain!r}, which ONNX "
            "does not define",
            _DOMAIN_HINTS.get(node.domain, "Export the model with ops of ONNX only."),
        )


def fix_shapes(model: Any, origin: Path, shapes: InputShapes) -> None:
    """Give the inputs of a model fixed shapes, of a batch of one; changes the model.

    Args:
        model: `onnx.ModelProto`.
        origin: File of the model, for messages.
        shapes: Shapes for inputs that the file leaves open, a batch of one first, by the names
            that data knows them by; "" for a single input.

    Raises:
        ConversionError: An axis besides the batch is open, or a shape does not fit.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [tensor for tensor in model.graph.input if tensor.name not in constants]
    if not inputs:
        raise ConversionError(f"{origin}: has no inputs", "Export the model with an input.")
    names = plain_names([tensor.name for tensor in inputs], "")
    free_batches = {
        tensor.type.tensor_type.shape.dim[0].dim_param
        for tensor in inputs
        if tensor.type.tensor_type.shape.dim
    }
    for name, tensor in zip(names, inputs, strict=True):
        _fix_input(tensor, origin, shapes.get(name), free_batches - {""})
    del model.graph.value_info[:]


def _fix_input(tensor: Any, origin: Path, shape: tuple[int, ...] | None, batches: set[str]) -> None:
    kind = tensor.type.tensor_type
    what = f"{origin}: its input {tensor.name!r}"
    if not tensor.type.HasField("tensor_type"):
        raise ConversionError(f"{what} is no tensor", "Export the model with tensors only.")
    dims = list(kind.shape.dim)
    # Some exporters write -1 for an axis that is open.
    declared = [dim.dim_value if dim.dim_value > 0 else None for dim in dims]
    words = ",".join(
        str(dim.dim_value) if dim.dim_value > 0 else dim.dim_param or "?" for dim in dims
    )
    sizes = [
        1 if size is None and (place == 0 or dims[place].dim_param in batches) else size
        for place, size in enumerate(declared)
    ]
    if not kind.HasField("shape") or None in sizes:
        example = ",".join("…" if size is None else str(size) for size in sizes) or "1,…"
        fits = shape is not None and (
            not kind.HasField("shape")
            or len(shape) == len(sizes)
            and all(own in (None, new) for own, new in zip(sizes, shape, strict=True))
        )
        if not fits:
            words_of_data = "" if shape is None else f"; the data has {list(shape[1:])}"
            raise ConversionError(
                f"{what} has the shape ({words}), which is open beyond the batch{words_of_data}",
                f"Give arrays of the shape ({example}) with --data, as an .npz, of the size that "
                "the model is to run with; or export the model with a fixed size.",
            )
        sizes = list(shape or ())
    fixed = tuple(size for size in sizes if size is not None)
    if len(fixed) < 2 or fixed[0] != 1 or min(fixed) < 1:
        raise ConversionError(
            f"{what} has the shape ({words}), expected a batch axis first, free or 1",
            "Export the model with a free batch axis, or for a batch of one.",
        )
    del kind.shape.dim[:]
    for size in fixed:
        kind.shape.dim.add().dim_value = size
