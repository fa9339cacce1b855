"""Windows that move over an image: strides, pads and dilation of convolutions and pools. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from converters.graph.onnx.onnx_node import OnnxNode

#: Places (before, behind) of height and width.
Pads = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class OnnxWindow:
    """A window over an image; over a sequence, the height is 1."""

    size: tuple[int, int]
    """Height and width, without dilation."""
    strides: tuple[int, int]
    """Strides along height and width."""
    dilation: tuple[int, int]
    """Dilation along height and width."""
    pads: Pads
    """Padded places."""

    @property
    def reach(self) -> tuple[int, int]:
        """Height and width with dilation."""
        (h, w), (a, b) = self.size, self.dilation
        return (h - 1) * a + 1, (w - 1) * b + 1


def window_of_node(node: OnnxNode, image: tuple[int, ...], size: tuple[int, ...]) -> OnnxWindow:
    """The window of a convolution or pool.

    Args:
        node: The node.
        image: Height and width, or length.
        size: Height and width of the window, or its length.
    """
    rank = len(image)
    size = size[-rank:]
    strides = node.wholes("strides") or (1,) * rank
    dilation = node.wholes("dilations") or (1,) * rank
    pads = node.wholes("pads") or (0,) * (2 * rank)
    sides = [(pads[axis], pads[axis + rank]) for axis in range(rank)]
    auto = node.text("auto_pad", "NOTSET")
    if auto == "VALID":
        sides = [(0, 0)] * rank
    elif auto.startswith("SAME"):
        sides = [
            _same_sides(*facts, upper=auto == "SAME_UPPER")
            for facts in zip(image, size, strides, dilation, strict=True)
        ]
    ones, none = (1,) * (2 - rank), [(0, 0)] * (2 - rank)
    height, width = none + sides
    return OnnxWindow(
        _pair(ones + size), _pair(ones + strides), _pair(ones + dilation), (height, width)
    )


def _pair(numbers: tuple[int, ...]) -> tuple[int, int]:
    height, width = numbers
    return int(height), int(width)


def _same_sides(
    length: int, size: int, stride: int, dilation: int, *, upper: bool
) -> tuple[int, int]:
    places = -(-length // stride)
    total = max((places - 1) * stride + (size - 1) * dilation + 1 - length, 0)
    small = total // 2
    return (small, total - small) if upper else (total - small, small)


def is_same(window: OnnxWindow, image: tuple[int, ...]) -> bool:
    """Whether the pads are those of TensorFlow's padding "same".

    Args:
        window: The window.
        image: Height and width of what it moves over.
    """
    return all(
        sides == _same_sides(length, size, stride, dilation, upper=True)
        for sides, length, size, stride, dilation in zip(
            window.pads, image, window.size, window.strides, window.dilation, strict=True
        )
    )
