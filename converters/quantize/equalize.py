"""Cross-layer equalization: channels of neighbouring layers get weights of equal size.

    s = sqrt(r1 / r2),   W1' = W1 / s,   b1' = b1 / s,   W2' = W2 * s

for each channel between two layers, where r1 and r2 are the largest weights on either side of it
(Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019,
equation 11). The answers of the float model do not change if all ops between the layers give s * y
for s * x: no activation, ReLU, pooling. The pairs are repeated until no factor changes any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.schema_py_generated import ActivationFunctionType

from converters.tflite.unpacked import UnpackedModel

Array = npt.NDArray[np.float32]

#: Op to the axes of the output and input channels in its kernel (TFLite's order of axes).
_CHANNEL_AXES = {"CONV_2D": (0, 3), "FULLY_CONNECTED": (0, 1), "DEPTHWISE_CONV_2D": (3, 3)}
#: Ops that give s * y for s * x, channel by channel.
_HOMOGENEOUS = ("RELU", "MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "PAD")
_PLAIN = (ActivationFunctionType.NONE, ActivationFunctionType.RELU)
_ROUNDS = 20
#: Largest difference of a factor from 1 at which the repetition ends.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class EqualizedPair:
    """Two layers whose channels in between go to no other layer."""

    first: int
    """Position of the operator before the channels."""
    second: int
    """Position of the operator after the channels."""


def find_pairs(model: UnpackedModel) -> tuple[EqualizedPair, ...]:
    """Find the pairs of layers that can be equalized, in the order of execution."""
    pairs = []
    for position, operator in enumerate(model.operators):
        if not _can_change(model, operator, needs_bias=True):
            continue
        second = _next_layer(model, position)
        if second is not None and _fits(model, position, second):
            pairs.append(EqualizedPair(position, second))
    return tuple(pairs)


def equalize_layers(content: bytes) -> tuple[bytes, int]:
    """Equalize every pair of layers of a float .tflite.

    Args:
        content: The float file.

    Returns:
        The file, whose answers are unchanged, and the number of pairs.
    """
    model = UnpackedModel(content)
    pairs = find_pairs(model)
    for _ in range(_ROUNDS):
        change = max((_equalize(model, pair) for pair in pairs), default=0.0)
        if change < _TOLERANCE:
            break
    return model.pack(), len(pairs)


def _equalize(model: UnpackedModel, pair: EqualizedPair) -> float:
    """Equalize one pair, and return the largest difference of a factor from 1."""
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
    """Position of the only layer that takes a layer's output, if factors pass the ops between."""
    operator = model.operators[position]
    while True:
        options = operator.builtinOptions
        if getattr(options, "fusedActivationFunction", 0) not in _PLAIN:
            return None
        output = int(operator.outputs[0])
        takers = [
            (n, other)
            for n, other in enumerate(model.operators)
            for i in other.inputs
            if int(i) == output
        ]
        if len(takers) != 1 or output in model.outputs:
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
    # A grouped convolution has fewer input channels; a flattened image, or a depthwise convolution
    # with a multiplier, has more.
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
