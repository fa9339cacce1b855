"""An operator of a file while it is read, with its inputs in the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.errors import ConversionError
from converters.graph.builder import GraphBuilder, Ref, SourceLayer
from converters.graph.limits import add_clip
from converters.graph.tflite.value import Shape, Value, graph_shape

Array = npt.NDArray[Any]
#: An input of an operator: a tensor of the graph, a constant, or None where it was left out.
Input = Value | Array | None

_HINT = (
    "Use a recipe that does not train: ptq_w8a8, mixed_w8a8 (floats where 8 bits cannot be) or "
    "ptq_dynamic take the file as it is. Or build the model without this operator; "
    "docs/coverage.md lists what kedge represents."
)
#: Most numbers of a constant that is added place by place.
MOST_ADDED = 1 << 22
#: Longest name of a tensor in a message.
_LONGEST = 100
#: Number of an activation that is part of an operator to its name in the graph.
_FUSED = {0: "linear", 1: "relu", 3: "relu6", 4: "tanh"}
_RELU_N1_TO_1 = 2


class FileOperator:
    """One operator of the file, and the graph that it is added to."""

    def __init__(
        self,
        builder: GraphBuilder,
        kind: str,
        options: Any,
        names: tuple[str, str],
        inputs: tuple[tuple[int, Input], ...],
        dtype: str = "",
    ) -> None:
        """Begin.

        Args:
            builder: Graph so far.
            kind: Name of the builtin, such as "CONV_2D".
            options: Options of the schema, or None.
            names: Name of its first node, and name of its output tensor for messages.
            inputs: Position of each input tensor in the file, -1 for one that was left out, and
                what it is.
            dtype: Type of its first output in the file.
        """
        self.builder, self.kind, self.options = builder, kind, options
        self.name, self._tensor = names
        self.dtype = dtype
        self.positions = tuple(position for position, _ in inputs)
        self._inputs = tuple(value for _, value in inputs)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """All inputs."""
        return self._inputs

    def value(self, place: int) -> Value:
        """An input that the graph computes.

        Raises:
            ConversionError: It is a constant, or was left out.
        """
        value = self._inputs[place] if place < len(self._inputs) else None
        if not isinstance(value, Value):
            raise self.refusal(f"its input {place} is a constant")
        return value

    def constant(self, place: int) -> Array:
        """A constant input, in the shape and type that it has in the file.

        Raises:
            ConversionError: The file computes it, or it was left out.
        """
        value = self._inputs[place] if place < len(self._inputs) else None
        if value is None or isinstance(value, Value):
            raise self.refusal(f"its input {place} is no constant")
        return value

    def optional(self, place: int) -> Array | None:
        """A constant input that may be left out, in its shape and type in the file."""
        if place >= len(self._inputs) or self._inputs[place] is None:
            return None
        return self.constant(place)

    def floats(self, place: int) -> Value:
        """An input as floats: whole numbers are converted."""
        value = self.value(place)
        return Value(self.builder.floats_of(value.ref), value.shape)

    def image(self, place: int) -> Ref:
        """An input of height, width and channels.

        Raises:
            ConversionError: The tensor has other axes, or several samples in its first one.
        """
        value = self.floats(place)
        if len(value.shape) != 4 or not value.has_batch:
            raise self.refusal(f"its input has the shape {value.shape}, expected (1, h, w, c)")
        return value.ref

    def layer(self, part: str = "", owner: Any = None) -> SourceLayer:
        """The operator as an owner of weights.

        Args:
            part: End of the name.
            owner: Owner of the weights; None where they belong to this operator alone.
        """
        name = f"{self.name}_{part}" if part else self.name
        return SourceLayer(name, self.kind, object() if owner is None else owner)

    def add(
        self,
        op: str,
        inputs: tuple[Ref, ...],
        shape: Shape,
        attributes: Mapping[str, Any] | None = None,
        weights: str = "",
    ) -> Ref:
        """Add a node, named after the operator."""
        return self.builder.add(self.name, op, inputs, shape, attributes, weights)

    def reshape(self, ref: Ref, shape: Shape) -> Ref:
        """Bring the output of a node to a shape of the graph.

        Raises:
            ConversionError: The shape has another number of elements.
        """
        if ref.shape == shape:
            return ref
        if prod(ref.shape) != prod(shape):
            raise self.refusal(f"{ref.shape} cannot become {shape}")
        return self.builder.add(f"{self.name}_shape", "reshape", (ref,), shape)

    def whole(self, value: Value, rank: int = 0) -> Ref:
        """A tensor with all its axes in the graph, behind the batch axis.

        Args:
            value: The tensor.
            rank: Number of axes; missing ones are put in front.
        """
        return self.reshape(value.ref, (1,) * (rank - len(value.shape)) + value.shape)

    def finish(self, ref: Ref, shape: Shape) -> Value:
        """Apply the activation that is part of the operator.

        Args:
            ref: Answer of the operator without it, with as many elements as `shape`.
            shape: Shape in the file.

        Raises:
            ConversionError: The activation is not known.
        """
        ref = self.reshape(ref, graph_shape(shape))
        code = int(getattr(self.options, "fusedActivationFunction", 0) or 0)
        if code == _RELU_N1_TO_1:
            return Value(add_clip(self.builder, self.layer(), ref, -1.0, 1.0), shape)
        if code not in _FUSED:
            raise self.refusal(f"the activation {code} that is part of it is not known")
        function = _FUSED[code]
        return Value(self.builder.activation(f"{self.name}_{function}", ref, function), shape)

    def option(self, name: str) -> int:
        """A whole number of the options."""
        return int(getattr(self.options, name))

    def refusal(self, why: str = "") -> ConversionError:
        """The error to raise about an operator that cannot be represented.

        Args:
            why: Reason, as a part of a sentence.
        """
        tensor = self._tensor if len(self._tensor) <= _LONGEST else f"{self._tensor[:_LONGEST]}…"
        return ConversionError(
            f"{self.builder.origin}: the operator {self.kind} of the tensor {tensor!r} cannot be "
            "brought to kedge's graph, in which it trains and prunes" + (f": {why}" if why else ""),
            _HINT,
        )


#: Function of an operator to what it gives: one value, or several in the order of its outputs.
Rule = Callable[[FileOperator], Value | tuple[Value, ...]]


def integers(array: Array) -> tuple[int, ...]:
    """Whole numbers of a constant of any shape.

    Raises:
        ValueError: The constant has numbers of another type.
    """
    if array.dtype.kind not in "iu":
        raise ValueError(f"a constant of whole numbers is {array.dtype}")
    return tuple(int(number) for number in np.ravel(array))
