"""Cross-layer equalization: channels of neighbouring layers are brought to one size.

    s = sqrt(r1 / r2),   W1' = W1 / s,   b1' = b1 / s,   W2' = W2 * s

for each channel between two layers, with r1 and r2 the largest weight on either side of it
(Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019,
equation 11). The float model answers as before, as long as what lies in between gives s * y for
s * x: no activation, ReLU, pooling. A chain is gone over until it no longer changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.schema_py_generated import ActivationFunctionType

from converters.tflite.unpacked import UnpackedModel

Array = npt.NDArray[np.float32]

#: Op to the axes of its kernel's output and input channels, as TFLite shapes kernels.
_CHANNEL_AXES = {"CONV_2D": (0, 3), "FULLY_CONNECTED": (0, 1), "DEPTHWISE_CONV_2D": (3, 3)}
#: Give s * y for s * x, channel by channel.
_HOMOGENEOUS = ("RELU", "MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "PAD")
_PLAIN = (ActivationFunctionType.NONE, ActivationFunctionType.RELU)
_ROUNDS = 20
#: A chain is at rest when no factor differs from 1 by more.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Pair:
    """Two layers with channels in between that nobody else takes."""

    first: int
    """Position of the operator before."""
    second: int
    """Position of the operator behind."""


def pairs_of(model: UnpackedModel) -> tuple[Pair, ...]:
    """Layers that can be equalized, in the order in which they run."""
    found = []
    for position, operator in enumerate(model.operators):
        if not _can_change(model, operator, needs_bias=True):
            continue
        second = _next_layer(model, position)
        if second is not None and _fits(model, position, second):
            found.append(Pair(position, second))
    return tuple(found)


def equalized(content: bytes) -> tuple[bytes, int]:
    """Equalize every pair of layers of a float .tflite.

    Args:
        content: The float file.

    Returns:
        The file, which answers as before, and how many pairs there are.
    """
    model = UnpackedModel(content)
    pairs = pairs_of(model)
    for _ in range(_ROUNDS):
        change = max((_equalize(model, pair) for pair in pairs), default=0.0)
        if change < _TOLERANCE:
            break
    return model.pack(), len(pairs)


def _equalize(model: UnpackedModel, pair: Pair) -> float:
    """Change one pair; by how much the farthest factor differs from 1."""
    before, behind = model.operators[pair.first], model.operators[pair.second]
    out_axis = _CHANNEL_AXES[model.op(before)][0]
    in_axis = _CHANNEL_AXES[model.op(behind)][1]
    kernel, bias = _stored(model, before.inputs[1]), _stored(model, before.inputs[2])
    following = _stored(model, behind.inputs[1])
    sizes, next_sizes = _sizes(kernel, out_axis), _sizes(following, in_axis)
    alive = (sizes > 0) & (next_sizes > 0)
    factors = np.ones_like(sizes)
    factors[alive] = np.sqrt(sizes[alive] / next_sizes[alive])
    model.set_constant(int(before.inputs[1]), kernel / _along(factors, kernel.ndim, out_axis))
    model.set_constant(int(before.inputs[2]), bias / factors)
    model.set_constant(int(behind.inputs[1]), following * _along(factors, following.ndim, in_axis))
    return float(np.abs(factors - 1).max())


def _can_change(model: UnpackedModel, operator: Any, needs_bias: bool) -> bool:
    if model.op(operator) not in _CHANNEL_AXES:
        return False
    own = [int(i) for i in operator.inputs[1 : 3 if needs_bias else 2]]
    has_all = len(own) == (2 if needs_bias else 1) and all(i >= 0 for i in own)
    return has_all and all(
        model.constant(i) is not None and not model.is_shared(i) for i in own
    )  # fmt: skip


def _next_layer(model: UnpackedModel, position: int) -> int | None:
    """The only layer that takes what a layer gives, if what lies in between keeps factors."""
    operator = model.operators[position]
    while True:
        options = operator.builtinOptions
        if getattr(options, "fusedActivationFunction", 0) not in _PLAIN:
            return None
        made = int(operator.outputs[0])
        takers = [
            (n, other)
            for n, other in enumerate(model.operators)
            for i in other.inputs
            if int(i) == made
        ]
        if len(takers) != 1 or made in model.outputs:
            return None
        position, operator = takers[0]
        if model.op(operator) not in _HOMOGENEOUS:
            return position
        if model.op(operator) == "MEAN" and not _keeps_channels(model, operator):
            return None


def _keeps_channels(model: UnpackedModel, mean: Any) -> bool:
    return model.shape(int(mean.inputs[0]))[-1] == model.shape(int(mean.outputs[0]))[-1]


def _fits(model: UnpackedModel, first: int, second: int) -> bool:
    before, behind = model.operators[first], model.operators[second]
    if not _can_change(model, behind, needs_bias=False):
        return False
    channels = model.shape(int(before.outputs[0]))[-1]
    # A grouped convolution has fewer, a flattened image more, a multiplied depthwise one too.
    in_axis = _CHANNEL_AXES[model.op(behind)][1]
    return _stored(model, behind.inputs[1]).shape[in_axis] == channels


def _stored(model: UnpackedModel, tensor: Any) -> Array:
    values = model.constant(int(tensor))
    assert values is not None, model.name(int(tensor))
    return values


def _sizes(kernel: Array, axis: int) -> Array:
    others = tuple(other for other in range(kernel.ndim) if other != axis)
    sizes: Array = np.abs(kernel).max(axis=others)
    return sizes


def _along(factors: Array, rank: int, axis: int) -> Array:
    return factors.reshape([-1 if other == axis else 1 for other in range(rank)])
