"""Reader of Einsum where it is a product of matrices: axes only change places around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from converters.graph.onnx.axes import (
    Axis,
    OnnxValue,
    flatten,
    size_of,
    split_axes,
    with_new_parts,
)
from converters.graph.onnx.onnx_node import OnnxNode
from converters.graph.onnx.products import Reader, multiply_by_kernel, multiply_values
from converters.graph.onnx.reader import OnnxReader

_HINT = "Write it with matmul, transpose and element-wise products of PyTorch, and export it again."


@dataclass(frozen=True)
class _Product:
    """An equation of two terms, whose letters are sorted by where they occur."""

    first: str
    """Letters of the first term."""
    second: str
    """Letters of the second term."""
    result: str
    """Letters of the result."""

    @property
    def batch(self) -> str:
        """Letters of all three."""
        return "".join(c for c in self.result if c in self.first and c in self.second)

    @property
    def rows(self) -> str:
        """Letters of the first term and the result."""
        return "".join(c for c in self.result if c in self.first and c not in self.second)

    @property
    def columns(self) -> str:
        """Letters of the second term and the result."""
        return "".join(c for c in self.result if c in self.second and c not in self.first)

    @property
    def inner(self) -> str:
        """Letters that are summed."""
        return "".join(c for c in self.first if c in self.second and c not in self.result)

    def exchanged(self) -> _Product:
        """The equation with its terms in the other order."""
        return _Product(self.second, self.first, self.result)


def _read_einsum(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    equation = node.text("equation", "").replace(" ", "")
    ranks = [_rank(reader, node, place) for place in range(len(node.inputs))]
    product = _product(equation, ranks)
    if product is None:
        raise reader.refusal(node, f"{equation!r}, which is no product of two matrices", _HINT)
    if reader.is_constant(node.input(0)):
        return _by_kernel(reader, node, product.exchanged(), 1)
    if reader.is_constant(node.input(1)):
        return _by_kernel(reader, node, product, 0)
    return _of_two(reader, node, product)


def _rank(reader: OnnxReader, node: OnnxNode, place: int) -> int:
    if reader.is_constant(node.input(place)):
        return int(reader.constants[node.input(place)].ndim)
    return len(reader.value(node, place).axes)


def _product(equation: str, ranks: Sequence[int]) -> _Product | None:
    """The equation, its "..." written out; None if it sums within a term or repeats a letter."""
    terms, arrow, result = equation.partition("->")
    sides = terms.split(",")
    if not arrow or len(sides) != 2 or len(ranks) != 2:
        return None
    more = {rank - len(side.replace("...", "")) for side, rank in zip(sides, ranks, strict=True)
            if "..." in side}  # fmt: skip
    if len(more) > 1 or any(count < 0 for count in more):
        return None
    leading = "".join(chr(0x100 + number) for number in range(max(more, default=0)))
    first, second, result = (text.replace("...", leading) for text in (*sides, result))
    product = _Product(first, second, result)
    parts = product.batch + product.rows + product.columns + product.inner
    is_whole = set(parts) == set(first) | set(second) | set(result)
    lengths = [len(set(text)) == len(text) for text in (first, second, result)]
    fits = [len(first), len(second)] == list(ranks)
    return product if is_whole and all(lengths) and fits and product.inner else None


def _by_kernel(reader: OnnxReader, node: OnnxNode, product: _Product, place: int) -> OnnxValue:
    """Multiply a computed tensor, which is the first term, by a constant."""
    value, kernel = reader.floats(node, place), reader.constants[node.input(1 - place)]
    axes = dict(zip(product.first, value.axes, strict=True))
    if any(kernel.shape[product.second.index(letter)] > 1 for letter in product.batch):
        raise reader.refusal(node, "with another constant for each place of an axis", _HINT)
    order = [product.second.index(c) for c in product.inner + product.columns + product.batch]
    arranged = kernel.transpose(order)
    sizes = arranged.shape[len(product.inner) : len(product.inner + product.columns)]
    summed = flatten([axes[letter] for letter in product.inner])
    matrix = arranged.reshape(size_of(summed), -1)
    owner = (node.input(1 - place), product.second, product.result)
    answer, new = multiply_by_kernel(reader, node, value, summed, (matrix, None), *owner)
    kept = [axes[letter] for letter in product.batch + product.rows]
    apart = split_axes(
        answer.with_axes((*kept, new)), (*map(size_of, kept), *(int(size) for size in sizes))
    )
    if apart is None:
        raise reader.refusal(node, "whose result cannot be divided into its axes", _HINT)
    letters = product.batch + product.rows + product.columns
    by_letter = dict(zip(letters, apart.axes, strict=True))
    return apart.with_axes([by_letter[letter] for letter in product.result])


def _of_two(reader: OnnxReader, node: OnnxNode, product: _Product) -> OnnxValue:
    """Multiply two computed tensors."""
    first, second = reader.floats(node, 0), with_new_parts(reader.floats(node, 1))
    left = dict(zip(product.first, first.axes, strict=True))
    right = dict(zip(product.second, second.axes, strict=True))

    def joined(axes: Mapping[str, Axis], letters: str) -> Axis:
        return flatten([axes[letter] for letter in letters])

    batch = product.batch
    answer = multiply_values(
        reader,
        node,
        first.with_axes(
            [*(left[c] for c in batch), joined(left, product.rows), joined(left, product.inner)]
        ),
        second.with_axes(
            [
                *(right[c] for c in batch),
                joined(right, product.inner),
                joined(right, product.columns),
            ]
        ),
    )
    sizes = [
        *(size_of(axis) for axis in answer.axes[: len(batch)]),
        *(size_of(left[letter]) for letter in product.rows),
        *(size_of(right[letter]) for letter in product.columns),
    ]
    apart = split_axes(answer, sizes)
    if apart is None:
        raise reader.refusal(node, "whose result cannot be divided into its axes", _HINT)
    by_letter = dict(zip(batch + product.rows + product.columns, apart.axes, strict=True))
    return apart.with_axes([by_letter[letter] for letter in product.result])


#: Op to its reader.
EINSUMS: Mapping[str, Reader] = {"Einsum": _read_einsum}
