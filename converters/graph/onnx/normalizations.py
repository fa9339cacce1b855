"""Readers of normalizations: of a batch, of a sample, and of groups of channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.graph.onnx.axes import (
    Axis,
    OnnxValue,
    flatten,
    groups_with_last,
    rows_in_order,
    size_of,
)
from converters.graph.onnx.onnx_node import OnnxNode
from converters.graph.onnx.reader import OnnxReader

Array = npt.NDArray[Any]
Reader = Callable[[OnnxReader, OnnxNode], OnnxValue]


def _in_order(array: Array | float, axis: Axis, order: Axis) -> Array:
    """Numbers of each place of an axis, in the order in which its parts are stored."""
    numbers = np.broadcast_to(np.asarray(array, np.float64).reshape(-1), (size_of(axis),))
    stored: Array = rows_in_order(numbers, axis, order)
    return stored


def _batch_norm(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    if node.whole("training_mode", 0) or node.output(1):
        raise reader.refusal(
            node, "in training", "Export the model for inference: call model.eval() first."
        )
    value = reader.floats(node, 0)
    arrays = [reader.constant(node, place) for place in range(1, 5)]
    gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in arrays)
    if len(value.axes) < 2 or any(a.shape != value.shape[1:2] for a in (gamma, beta, mean)):
        raise reader.refusal(node, "whose numbers do not fit its channels")
    scale = gamma / np.sqrt(variance + node.number("epsilon", 1e-5))
    axis = value.axes[1]
    groups = groups_with_last(value, axis)
    ref = reader.arrange(value, groups, f"{node.name}_in")
    by_place = [_in_order(a, axis, groups[-1]) for a in (scale, beta - mean * scale)]
    ref = reader.builder.affine(reader.layer(node, "", *node.inputs[1:]), ref, *by_place)
    return OnnxValue(ref, flatten(groups), value.axes)


def _add_norm(
    reader: OnnxReader,
    node: OnnxNode,
    value: OnnxValue,
    axis: Axis,
    op: str,
    arrays: tuple[Array | float, Array | float],
    **attributes: Any,
) -> OnnxValue:
    """Add a normalization with gamma and beta for each place of some parts."""
    groups = groups_with_last(value, axis)
    ref = reader.arrange(value, groups, f"{node.name}_in")
    gamma, beta = (_in_order(array, axis, groups[-1]) for array in arrays)
    weights = reader.builder.add_weights(
        reader.layer(node, "", op, *node.inputs[1:]), gamma=gamma, beta=beta
    )
    ref = reader.builder.add(node.name, op, (ref,), ref.shape, attributes, weights)
    return OnnxValue(ref, flatten(groups), value.axes)


def _gamma_and_beta(reader: OnnxReader, node: OnnxNode) -> tuple[Array | float, Array | float]:
    gamma, beta = reader.constant(node, 1), reader.constant(node, 2)
    return 1.0 if gamma is None else gamma, 0.0 if beta is None else beta


def _layer_norm(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value = reader.floats(node, 0)
    axis = node.whole("axis", -1) % len(value.axes)
    parts = flatten(value.axes[axis:])
    arrays = _gamma_and_beta(reader, node)
    epsilon = node.number("epsilon", 1e-5)
    return _add_norm(reader, node, value, parts, "layer_norm", arrays, epsilon=epsilon)


def _rms_norm(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    """Read RMSNormalization: the unit length times the root of the number of places."""
    value = reader.floats(node, 0)
    parts = flatten(value.axes[node.whole("axis", -1) % len(value.axes) :])
    unit = _add_unit_norm(reader, node, value, parts, f"{node.name}_unit")
    gamma = reader.constant(node, 1)
    scale = np.sqrt(size_of(parts)) * (1.0 if gamma is None else gamma)
    by_place = _in_order(scale, parts, unit.in_stored_order(parts))
    layer = reader.layer(node, "", *node.inputs[1:])
    ref = reader.builder.affine(layer, unit.ref, by_place, 0.0)
    return OnnxValue(ref, unit.stored, unit.axes)


def _unit_norm(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value = reader.floats(node, 0)
    if node.whole("p", 2) != 2:
        raise reader.refusal(node, "by the sum of sizes")
    axis = value.axes[node.whole("axis", -1) % len(value.axes)]
    return _add_unit_norm(reader, node, value, axis, node.name)


def _add_unit_norm(
    reader: OnnxReader, node: OnnxNode, value: OnnxValue, parts: Axis, name: str
) -> OnnxValue:
    groups = groups_with_last(value, parts)
    ref = reader.arrange(value, groups, f"{node.name}_in")
    ref = reader.builder.add(name, "unit_norm", (ref,), ref.shape)
    return OnnxValue(ref, flatten(groups), value.axes)


def _instance_norm(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    """Read a normalization of each place of axis 1 over all that lies behind it.

    Exporters write GroupNorm so, of channels that were divided by a Reshape before.
    """
    value = reader.floats(node, 0)
    if value.axes[0]:
        raise reader.refusal(node, "that takes several images of one sample at a time")
    epsilon, channels = node.number("epsilon", 1e-5), value.axes[1]
    place = value.stored.index(channels[0]) if channels else 0
    together = value.stored[place : place + len(channels)] == channels
    parts = value.stored[place:] if together and channels else channels
    inner = size_of(parts) // size_of(channels)
    arrays = tuple(
        np.repeat(np.broadcast_to(np.asarray(array).reshape(-1), size_of(channels)), inner)
        for array in _gamma_and_beta(reader, node)
    )
    plain = {"groups": size_of(channels), "epsilon": epsilon}
    return _add_norm(reader, node, value, parts, "group_norm", (arrays[0], arrays[1]), **plain)


def _group_norm(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value = reader.floats(node, 0)
    if value.axes[0]:
        raise reader.refusal(node, "that takes several images of one sample at a time")
    groups, channels = node.whole("num_groups", 1), size_of(value.axes[1])
    if channels % groups:
        raise reader.refusal(node, f"of {groups} groups of {channels} channels")
    value = reader.join_axis(value, 1, f"{node.name}_in")
    arrays = []
    for array in _gamma_and_beta(reader, node):
        numbers = np.asarray(array).reshape(-1)
        # Until opset 20 there was a number for each group.
        is_by_group = numbers.size == groups != channels
        arrays.append(np.repeat(numbers, channels // groups) if is_by_group else numbers)
    plain = {"groups": groups, "epsilon": node.number("epsilon", 1e-5)}
    both = (arrays[0], arrays[1])
    return _add_norm(reader, node, value, value.axes[1], "group_norm", both, **plain)


#: Op to its reader.
NORMALIZATIONS: Mapping[str, Reader] = {
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "LpNormalization": _unit_norm,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
}
