"""Networks from a grammar of blocks, with random weights. NumPy only.

Kernels get the normal distribution of He et al. (2015), sqrt(2 / fan_in), the layer of the scores
sqrt(1 / fan_in); biases are 0. A normalization that changes nothing yet stands behind each
convolution but those of squeeze-excite, which see a single place. A series is a picture that is one
place high.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from converters.graph.builder import GraphBuilder, Ref, SourceLayer
from converters.graph.node import CONV, DENSE, DEPTHWISE, INPUT, NORM, Graph, Node
from converters.recipe.student_step import (
    DENSE_BLOCK,
    INVERTED,
    INVERTED_SE,
    PLAIN,
    RESIDUAL,
    SEPARABLE,
    Stage,
    Student,
)

#: Divisor of the channels inside of squeeze-excite.
_SQUEEZE = 4


def student_graph(step: Student, image: Node, classes: int, last: str, seed: int) -> Graph:
    """Build a student.

    Args:
        step: Stem and stages.
        image: Input of the model: a picture, a series or, with dense stages, a vector.
        classes: Number of scores.
        last: Activation of the scores: "softmax", "sigmoid" or "linear".
        seed: Seed of the random weights.

    Returns:
        A graph to train, with normalizations.
    """
    network = _Network(step, seed)
    place = network.builder.add(image.name, INPUT, (), image.shape, image.attributes)
    if len(image.shape) == 2:
        place = network.builder.add("series", "reshape", (place,), (1, *image.shape))
    if step.stem_width:
        layer = network.dense if len(image.shape) == 1 else network.conv
        place = network.active(layer("stem", place, step.stem_width, stride=step.stem_stride))
    for number, stage in enumerate(step.stages, start=1):
        for block in range(1, stage.depth + 1):
            stride = stage.stride if block == 1 else 1
            place = network.block(f"stage{number}_{block}", place, stage, stride)
    if len(image.shape) > 1:
        plain = {"rank": 2, "keepdims": False}
        place = network.builder.add(
            "mean", "global_average_pool", (place,), place.shape[-1:], plain
        )
    scores = network.dense("scores", place, classes, gain=1.0)
    axis = {"axis": -1} if last == "softmax" else {}
    output = network.builder.activation("answers", scores, last, **axis)
    return network.builder.graph("student", [output])


class _Network:
    """Layers that were added so far."""

    def __init__(self, step: Student, seed: int) -> None:
        self.builder = GraphBuilder("student")
        self._step, self._random = step, np.random.default_rng(seed)

    def block(self, name: str, place: Ref, stage: Stage, stride: int) -> Ref:
        """Add a block."""
        if stage.block == DENSE_BLOCK:
            return self.active(self.dense(name, place, stage.width))
        if stage.block == PLAIN:
            return self.active(self.conv(name, place, stage.width, stride=stride))
        if stage.block == SEPARABLE:
            inside = self.active(self.depthwise(f"{name}_depthwise", place, stride))
            return self.active(self.conv(name, inside, stage.width, kernel=1))
        if stage.block == RESIDUAL:
            return self._residual(name, place, stage, stride)
        assert stage.block in (INVERTED, INVERTED_SE)
        return self._inverted(name, place, stage, stride)

    def active(self, place: Ref) -> Ref:
        """Add the activation function behind a layer."""
        function = self._step.activation
        return self.builder.activation(f"{place.name}_{function}", place, function)

    def conv(
        self, name: str, place: Ref, width: int, kernel: int = 0, stride: int = 1, norm: bool = True
    ) -> Ref:
        """Add a convolution; `kernel` is 0 for the size of the step."""
        size = self._size(place, kernel or self._step.kernel)
        shape = (*size, place.shape[-1], width)
        return self._with_places(name, CONV, place, shape, width, stride, norm)

    def depthwise(self, name: str, place: Ref, stride: int) -> Ref:
        """Add a depthwise convolution."""
        channels = place.shape[-1]
        shape = (*self._size(place, self._step.kernel), channels, 1)
        return self._with_places(name, DEPTHWISE, place, shape, channels, stride, True)

    def dense(self, name: str, place: Ref, width: int, stride: int = 1, gain: float = 2.0) -> Ref:
        """Add a Dense layer; its stride is 1, as a vector has no places."""
        assert stride == 1
        weights = self._weights(name, (place.shape[-1], width), place.shape[-1], width, gain)
        return self.builder.add(name, DENSE, (place,), (*place.shape[:-1], width), {}, weights)

    def _residual(self, name: str, place: Ref, stage: Stage, stride: int) -> Ref:
        inside = self.active(self.conv(f"{name}_first", place, stage.width, stride=stride))
        branch = self.conv(f"{name}_second", inside, stage.width)
        if place.shape != branch.shape:
            place = self.conv(f"{name}_shortcut", place, stage.width, kernel=1, stride=stride)
        return self.active(self.builder.add(name, "add", (place, branch), branch.shape))

    def _inverted(self, name: str, place: Ref, stage: Stage, stride: int) -> Ref:
        inside = place
        if stage.expand > 1:
            wide = place.shape[-1] * stage.expand
            inside = self.active(self.conv(f"{name}_expand", place, wide, kernel=1))
        inside = self.active(self.depthwise(f"{name}_depthwise", inside, stride))
        if stage.block == INVERTED_SE:
            inside = self._squeeze_excite(name, inside)
        result = self.conv(f"{name}_project", inside, stage.width, kernel=1)
        if place.shape != result.shape:
            return result
        return self.builder.add(name, "add", (place, result), result.shape)

    def _squeeze_excite(self, name: str, place: Ref) -> Ref:
        channels = place.shape[-1]
        plain = {"rank": 2, "keepdims": True}
        mean = self.builder.add(
            f"{name}_mean", "global_average_pool", (place,), (1, 1, channels), plain
        )
        width = max(1, channels // _SQUEEZE)
        inside = self.conv(f"{name}_squeeze", mean, width, kernel=1, norm=False)
        inside = self.builder.activation(f"{name}_squeeze_relu", inside, "relu")
        gate = self.conv(f"{name}_excite", inside, channels, kernel=1, norm=False)
        gate = self.builder.activation(f"{name}_gate", gate, "sigmoid")
        return self.builder.add(f"{name}_scaled", "multiply", (place, gate), place.shape)

    def _size(self, place: Ref, kernel: int) -> tuple[int, int]:
        return (1 if place.shape[0] == 1 else kernel), kernel

    def _with_places(
        self, name: str, op: str, place: Ref, shape: tuple[int, ...], channels: int, stride: int,
        norm: bool,
    ) -> Ref:  # fmt: skip
        """Add a convolution of either kind, and its normalization."""
        fan_in = prod(shape[:2]) * (shape[2] if op == CONV else 1)
        weights = self._weights(name, shape, fan_in, channels, 2.0)
        plain: dict[str, Any] = {
            "strides": (stride, stride),
            "padding": "same",
            "dilation": (1, 1),
        }
        if op == CONV:
            plain["groups"] = 1
        height, width = (-(-size // stride) for size in place.shape[:2])
        result = self.builder.add(name, op, (place,), (height, width, channels), plain, weights)
        return self._normalized(result) if norm else result

    def _normalized(self, place: Ref) -> Ref:
        name, channels = f"{place.name}_norm", place.shape[-1]
        ones, zeros = np.ones(channels), np.zeros(channels)
        layer = SourceLayer(name, NORM, name)
        key = self.builder.add_weights(
            layer, gamma=ones, beta=zeros, moving_mean=zeros, moving_variance=ones
        )
        return self.builder.add(name, NORM, (place,), place.shape, weights=key)

    def _weights(
        self, name: str, shape: tuple[int, ...], fan_in: int, channels: int, gain: float
    ) -> str:
        kernel = self._random.normal(0, np.sqrt(gain / fan_in), shape)
        layer = SourceLayer(name, "layer of a student", name)
        return self.builder.add_weights(layer, kernel=kernel, bias=np.zeros(channels))
