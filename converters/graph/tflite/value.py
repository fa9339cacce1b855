"""Values of a file while it is read: what its tensors are in the graph. Pure.

A file computes one sample, and its tensors need not have the sample in their first axis: a tensor
[1, 16, 12] may become [16, 12], or [12, 1, 16]. So the graph has, for each sample, the numbers of
the whole tensor: in its shape without a leading 1, or in its whole shape where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from converters.graph.builder import Ref

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Value:
    """A tensor that the graph computes."""

    ref: Ref
    """Output of a node, in the shape `graph_shape(shape)`."""
    shape: Shape
    """Shape in the file."""

    @property
    def has_batch(self) -> bool:
        """Whether the first axis in the file is the batch axis of the graph."""
        return is_batched(self.shape)


def is_batched(shape: Shape) -> bool:
    """Whether the first axis of a shape in the file is the batch axis of the graph."""
    return len(shape) > 1 and shape[0] == 1


def graph_shape(shape: Shape) -> Shape:
    """Shape in the graph, without the batch axis, of a tensor of this shape in the file."""
    return shape[1:] if is_batched(shape) else shape


def broadcast_shape(shapes: Sequence[Shape]) -> Shape:
    """Shape of the answer of an op that works element by element.

    Raises:
        ValueError: The shapes do not fit together.
    """
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    sizes = []
    for axis in zip(*padded, strict=True):
        others = {size for size in axis if size != 1} or {1}
        if len(others) > 1:
            raise ValueError(f"the shapes {' and '.join(map(str, shapes))} do not fit together")
        sizes.append(others.pop())
    return tuple(sizes)
