"""Shapes behind a smaller input or a larger stride, and what is refused. NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converters.data.dataset import Samples
from converters.data.resized_samples import AREA, resize_batch, resize_samples
from converters.errors import ConversionError
from converters.graph.builder import GraphBuilder, Ref, SourceLayer
from converters.graph.node import Graph
from converters.graph.resized_input import resized_shape, shape_of_samples, without_resize
from converters.resolution.sizes import with_smaller_input, with_wider_stem
from device_agent.contract.fitting import resize

GLOBAL = "global_average_pool"


class Net:
    """A network of convolutions that is written down in a line."""

    def __init__(self, shape: tuple[int, ...], **attributes: Any) -> None:
        self.builder = GraphBuilder("net.keras")
        self.last = self.builder.input("image", shape, attributes.get("dtype", "float32"))
        self._count = 0

    def conv(self, width: int, size: int = 3, stride: int = 1, padding: str = "same") -> Net:
        height, breadth = (
            -(-(n - (size - 1 if padding == "valid" else 0)) // stride) for n in self.last.shape[:2]
        )
        self._count += 1
        name = f"conv{self._count}"
        kernel = np.zeros((size, size, self.last.shape[-1], width))
        layer = SourceLayer(name, "Conv2D", name)
        key = self.builder.add_weights(layer, kernel=kernel, bias=np.zeros(width))
        plain = {
            "strides": (stride, stride),
            "padding": padding,
            "dilation": (1, 1),
            "groups": 1,
        }
        self.last = self.builder.add(
            name, "conv", (self.last,), (height, breadth, width), plain, key
        )
        return self

    def add(self, name: str, op: str, shape: tuple[int, ...], *others: Ref, **plain: Any) -> Net:
        self.last = self.builder.add(name, op, (self.last, *others), shape, plain)
        return self

    def dense(self, outputs: int = 10) -> Graph:
        kernel = np.zeros((self.last.shape[-1], outputs))
        layer = SourceLayer("scores", "Dense", "scores")
        key = self.builder.add_weights(layer, kernel=kernel, bias=np.zeros(outputs))
        scores = self.builder.add("scores", "dense", (self.last,), (outputs,), {}, key)
        return self.builder.graph("net", [scores])


def pooled(shape: tuple[int, ...] = (32, 32, 3)) -> Graph:
    net = Net(shape).conv(8).conv(16, stride=2)
    height, width, channels = net.last.shape
    pool = {"pool": (height, width), "strides": (height, width), "padding": "valid"}
    return (
        net.add("pool", "average_pool", (1, 1, channels), **pool)
        .add("flat", "flatten", (channels,))
        .dense()
    )


def test_every_layer_behind_a_smaller_input_is_smaller_and_a_pooling_of_all_stays_one() -> None:
    graph = with_smaller_input(pooled(), 0.5, "net.keras")
    nodes = graph.by_name()
    assert [nodes[name].shape for name in ("image", "conv1", "conv2", "pool", "flat")] == [
        (16, 16, 3), (16, 16, 8), (8, 8, 16), (1, 1, 16), (16,)
    ]  # fmt: skip
    assert nodes["pool"].attributes["pool"] == (8, 8)
    assert shape_of_samples(nodes["image"]) == (32, 32, 3)
    assert resized_shape(graph) == (16, 16, 3)
    assert resized_shape(without_resize(graph)) is None
    twice = with_smaller_input(graph, 0.5, "net.keras")
    assert shape_of_samples(twice.by_name()["image"]) == (32, 32, 3)


def test_a_stride_in_the_first_convolution_leaves_the_input() -> None:
    graph, stem = with_wider_stem(pooled((30, 32, 3)), 2, "net.keras")
    nodes = graph.by_name()
    assert stem == "conv1"
    assert nodes["image"].shape == (30, 32, 3)
    assert nodes["conv1"].attributes["strides"] == (2, 2)
    assert nodes["conv2"].shape == (8, 8, 16)


def test_a_series_loses_steps_and_the_reshapes_around_its_convolution_follow() -> None:
    net = Net((64, 3)).add("as_picture", "reshape", (1, 64, 3))
    net.conv(8, 3)  # its kernel is 3 high, its input 1
    net.add("as_series", "reshape", (64, 8)).add("all", GLOBAL, (8,), rank=1, keepdims=False)
    graph = net.dense()
    nodes = with_smaller_input(graph, 0.5, "net.keras").by_name()
    assert nodes["as_series"].shape == (32, 8)
    wider, _ = with_wider_stem(graph, 4, "net.keras")
    assert wider.by_name()["conv1"].attributes["strides"] == (1, 4)
    assert wider.by_name()["as_series"].shape == (16, 8)


def flat() -> Graph:
    return Net((8, 8, 3)).conv(4).add("flat", "flatten", (256,)).dense()


def unequal() -> Graph:
    """The shortcut leaves out the stride of the stem."""
    net = Net((8, 8, 3))
    image = net.last
    net.conv(3).add("sum", "add", (8, 8, 3), image)
    return net.add("all", GLOBAL, (3,), rank=2, keepdims=False).dense()


def constant() -> Graph:
    net = Net((8, 8, 3)).conv(4)
    net.last = net.builder.add_constant("places", net.last, np.ones((8, 8, 4)))
    return net.add("all", GLOBAL, (4,), rank=2, keepdims=False).dense()


def narrow() -> Graph:
    net = Net((6, 6, 3)).conv(4, padding="valid").conv(4, padding="valid")
    return net.add("all", GLOBAL, (4,), rank=2, keepdims=False).dense()


@pytest.mark.parametrize(
    ("graph", "change", "message"),
    [
        (flat(), with_smaller_input, "'scores' .* takes 256 numbers, not 64"),
        (
            constant(),
            with_smaller_input,
            "'places' .* input of the shape .8, 8, 4. alone",
        ),
        (narrow(), with_smaller_input, "'conv2' .* leaves nothing of an input"),
        (unequal(), with_wider_stem, "'sum' .* inputs of different sizes"),
        (Net((8, 8, 3), dtype="int32").dense(), with_smaller_input, "takes whole numbers"),
        (Net((8,)).dense(), with_smaller_input, "neither a picture nor a series"),
        (Net((8,)).dense(), with_wider_stem, "has no convolution of more than 1×1"),
    ],
)
def test_what_needs_its_size_is_refused_by_its_name(graph: Any, change: Any, message: str) -> None:
    with pytest.raises(ConversionError, match=message) as caught:
        change(graph, 2 if change is with_wider_stem else 0.5, "net.keras")
    assert caught.value.hint


@pytest.mark.parametrize("size", [16, 20, 27])
def test_samples_are_resized_as_the_board_resizes_pictures(size: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 30, 3), np.uint8)
    resized = resize_batch(pixels, (size, 15, 3))
    board = [resize(np, picture, size, 15, AREA) for picture in pixels]
    np.testing.assert_allclose(resized, board, rtol=1e-5, atol=1e-3)
    samples = Samples(pixels, np.arange(3), factor=1 / 255, offset=-0.5)
    of_file = resize_samples(samples, (size, 15, 3)).batch(slice(None))
    np.testing.assert_allclose(of_file, resized / 255 - 0.5, rtol=1e-5, atol=1e-5)
    assert resize_samples(samples, (32, 30, 3)) is samples
