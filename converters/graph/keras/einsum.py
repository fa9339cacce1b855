"""Reader of EinsumDense: a Dense layer between two reshapes, where its equation says no more."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.graph.builder import GraphBuilder, Ref
from converters.graph.keras.activations import add_activation
from converters.graph.keras.calls import Call
from converters.graph.node import DENSE


def read_einsum_dense(builder: GraphBuilder, call: Call) -> Ref:
    """Read EinsumDense whose equation multiplies the last axes of its input by a kernel.

    Raises:
        ConversionError: The equation says anything else; the message names the layer and it.
    """
    layer, (source,) = call.layer, call.sources
    equation = str(layer.equation).replace(" ", "")
    axes = _axes(equation)
    if axes is None:
        raise builder.refusal(call.source_layer, f"with the equation {equation}")
    inputs, outputs, of_kernel = axes
    kernel = np.asarray(layer.kernel)
    order = [of_kernel.index(axis) for axis in inputs + outputs]
    arranged = np.transpose(kernel, order)
    width = int(np.prod(arranged.shape[: len(inputs)]))
    leading = source.shape[: len(source.shape) - len(inputs)]
    flat_kernel = arranged.reshape(width, -1)
    arrays = {"kernel": flat_kernel, "bias": _bias(layer, arranged.shape[len(inputs) :])}
    weights = builder.add_weights(call.source_layer, **arrays)
    if len(inputs) > 1:
        source = builder.add(f"{call.name}_joined", "reshape", (source,), (*leading, width))
    count = flat_kernel.shape[-1]
    answer = builder.add(call.name, DENSE, (source,), (*leading, count), weights=weights)
    if len(outputs) > 1:
        apart = (*leading, *arranged.shape[len(inputs) :])
        answer = builder.add(f"{call.name}_apart", "reshape", (answer,), apart)
    return add_activation(builder, call, answer, layer.activation)


def _axes(equation: str) -> tuple[str, str, str] | None:
    """Axes that are summed, axes that are new, and those of the kernel; None if it is no Dense."""
    terms, _, result = equation.replace("...", "").partition("->")
    source, _, kernel = terms.partition(",")
    inputs = "".join(axis for axis in source if axis not in result)
    outputs = "".join(axis for axis in result if axis not in source)
    leading = source[: len(source) - len(inputs)]
    is_dense = source == leading + inputs and result == leading + outputs
    if is_dense and inputs and outputs and sorted(kernel) == sorted(inputs + outputs):
        return inputs, outputs, kernel
    return None


def _bias(layer: Any, shape: tuple[int, ...]) -> Any:
    """Bias of every output, (outputs,); the layer's own has one place along some axes."""
    if layer.bias is None:
        return np.zeros(int(np.prod(shape)))
    bias = np.asarray(layer.bias)
    return np.broadcast_to(bias.reshape(bias.shape[-len(shape) :]), shape).reshape(-1)
