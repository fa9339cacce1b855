"""Outputs of the nodes of an .onnx, and the file with all of them as its outputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from converters.layer_output import LayerOutput, layers_of_name
from converters.onnx.inspection import onnx_figures
from converters.onnx.proto import read_proto
from converters.tensor_spec import TensorSpec

_QUANTIZE = "QuantizeLinear"
#: End that ONNX Runtime's quantizer adds to the name of a tensor.
_ROUNDED = "_QuantizeLinear_Output"
#: Ops that only change how a number is stored.
_CONVERSIONS = ("DequantizeLinear", "Cast", "Identity", "Constant")


def onnx_layer_outputs(path: Path) -> tuple[LayerOutput, ...]:
    """Return the outputs of the nodes of the main graph, in the order of their work.

    An integer output is one that a QuantizeLinear rounds; its node is the one before. Others are
    floats.

    Args:
        path: File that `converters.onnx.reader.read_onnx` accepted.

    Raises:
        ConversionError: Its shapes cannot be inferred.
    """
    return tuple(output for output, _ in _outputs(path, read_proto(path)))


def onnx_with_layer_outputs(path: Path) -> bytes:
    """Return a file whose outputs are those that `onnx_layer_outputs` lists, in that order.

    Args:
        path: File that `converters.onnx.reader.read_onnx` accepted.

    Raises:
        ConversionError: Its shapes cannot be inferred.
    """
    from onnx.helper import make_tensor_value_info, np_dtype_to_tensor_dtype

    proto = read_proto(path)
    entries = [
        make_tensor_value_info(
            output.tensor, np_dtype_to_tensor_dtype(dtype), output.spec.shape or None
        )
        for output, dtype in _outputs(path, proto)
    ]
    del proto.graph.output[:]
    proto.graph.output.extend(entries)
    del proto.metadata_props[:]  # the scales of other outputs
    return bytes(proto.SerializeToString())


def _outputs(path: Path, proto: Any) -> Iterator[tuple[LayerOutput, Any]]:
    """Yield each output with its type of NumPy."""
    import numpy as np

    forms = {
        use.name: (use.shape, use.dtype)
        for operator in onnx_figures(path).operators
        for use in operator.outputs
    }
    nodes = list(proto.graph.node)
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    makers = {name: node for node in nodes for name in node.output}
    rounded = {node.input[0] for node in nodes if node.op_type == _QUANTIZE}
    origins: dict[str, tuple[int, ...]] = {}
    count = 0
    for node in nodes:
        sources = tuple(dict.fromkeys(o for name in node.input for o in origins.get(name, ())))
        for name in filter(None, node.output):
            origins[name] = sources
            shape, dtype = forms.get(name, ((), ""))
            scale = _scale(node, stored) if node.op_type == _QUANTIZE else None
            before = makers.get(node.input[0]) if scale is not None else node
            is_float = dtype == "float32" and name not in rounded
            if before is None or 0 in shape or not (scale or is_float):
                continue
            if before.op_type in _CONVERSIONS:
                continue
            spec = TensorSpec(name, shape, dtype, *(scale or (None, None)))
            origins[name] = (count,)
            count += 1
            yield (
                LayerOutput(name, layers_of_name(name), before.op_type, spec, sources),
                np.dtype(dtype),
            )


def _scale(node: Any, stored: dict[str, Any]) -> tuple[float, int] | None:
    """Return scale and zero point of a QuantizeLinear; None where it has several or computes them.

    Without a zero point it writes uint8 and the zero point 0.
    """
    from onnx.numpy_helper import to_array

    tensors = [stored[name] for name in node.input[1:] if name in stored]
    values = [to_array(tensor).reshape(-1) for tensor in tensors]
    if not values or len(values) < len(node.input) - 1 or any(each.size != 1 for each in values):
        return None
    return float(values[0][0]), int(values[1][0]) if len(values) > 1 else 0
