"""Rules of operators that work element by element, and of those that reduce axes."""

from __future__ import annotations

from math import prod

import numpy as np

from converters.graph.builder import Ref
from converters.graph.limits import add_limit
from converters.graph.node import DENSE
from converters.graph.tflite.operator import MOST_ADDED, Array, FileOperator, Rule, integers
from converters.graph.tflite.value import Shape, Value, broadcast_shape, graph_shape, is_batched

#: Numbers beyond this stand for infinity.
_INFINITE = 1e9


def _binary(op: str) -> Rule:
    def read(operator: FileOperator) -> Value:
        first, second = operator.inputs[:2]
        if isinstance(first, Value) and isinstance(second, Value):
            answer, shape = _of_two(operator, op, operator.floats(0), operator.floats(1))
            return operator.finish(answer, shape)
        place = 0 if isinstance(first, Value) else 1
        value, constant = operator.floats(place), operator.constant(1 - place)
        return _with_constant(operator, op, value, constant, is_reversed=place == 1)

    return read


def _of_two(operator: FileOperator, op: str, first: Value, second: Value) -> tuple[Ref, Shape]:
    shape = broadcast_shape([first.shape, second.shape])
    refs = [_aligned(operator, value, shape) for value in (first, second)]
    if op == "divide":
        inverse = operator.builder.activation(f"{operator.name}_inverse", refs[1], "reciprocal")
        refs, op = [refs[0], inverse], "multiply"
    return operator.add(op, (refs[0], refs[1]), graph_shape(shape)), shape


def _aligned(operator: FileOperator, value: Value, shape: Shape) -> Ref:
    """A tensor with as many axes as an answer has in the graph."""
    padded = (1,) * (len(shape) - len(value.shape)) + value.shape
    return operator.reshape(value.ref, padded[1:] if is_batched(shape) else padded)


def _with_constant(
    operator: FileOperator, op: str, value: Value, constant: Array, is_reversed: bool
) -> Value:
    numbers = np.clip(constant.astype(np.float64), -_INFINITE, _INFINITE)
    shape = broadcast_shape([value.shape, numbers.shape])
    ref = _widened(operator, _aligned(operator, value, shape), graph_shape(shape))
    if op in ("maximum", "minimum"):
        return operator.finish(_limited(operator, op, ref, numbers), shape)
    rank = len(ref.shape)
    aligned = numbers.reshape((1,) * (rank - numbers.ndim) + numbers.shape[-rank:])
    if op == "divide":
        if is_reversed:
            ref = operator.builder.activation(f"{operator.name}_inverse", ref, "reciprocal")
        else:
            with np.errstate(divide="ignore"):
                aligned = 1 / aligned
        op = "multiply"
    if not np.isfinite(aligned).all():
        raise operator.refusal("its constant is not finite")
    if op == "subtract":
        if is_reversed:
            ref = operator.builder.affine(operator.layer("negative"), ref, -1.0, 0.0)
        else:
            aligned = -aligned
    return operator.finish(_scaled_or_moved(operator, op, ref, aligned), shape)


def _widened(operator: FileOperator, ref: Ref, shape: Shape) -> Ref:
    """A tensor of one channel as many equal channels, where a constant has more."""
    if prod(shape) == prod(ref.shape):
        return ref
    if ref.shape != (*shape[:-1], 1):
        raise operator.refusal(f"its constant is larger than the tensor, {shape} and {ref.shape}")
    ones, zeros = np.ones((1, shape[-1])), np.zeros(shape[-1])
    weights = operator.builder.add_weights(operator.layer("wide"), kernel=ones, bias=zeros)
    return operator.builder.add(f"{operator.name}_wide", DENSE, (ref,), shape, weights=weights)


def _limited(operator: FileOperator, op: str, ref: Ref, numbers: Array) -> Ref:
    if numbers.size != 1:
        raise operator.refusal("its limit is not one number")
    limit = float(numbers.reshape(()))
    if abs(limit) >= _INFINITE and (limit < 0) == (op == "maximum"):
        return ref
    return add_limit(operator.builder, operator.layer(), op, ref, limit)


def _scaled_or_moved(operator: FileOperator, op: str, ref: Ref, numbers: Array) -> Ref:
    """Multiply by numbers, or add them: one, one for each channel, or one for each place."""
    is_by_channel = numbers.size == numbers.shape[-1] and numbers.size in (1, ref.shape[-1])
    if is_by_channel:
        scale, offset = (numbers, 0.0) if op == "multiply" else (1.0, numbers)
        return operator.builder.affine(operator.layer(), ref, scale, offset)
    if numbers.size > MOST_ADDED:
        raise operator.refusal(f"its constant has the shape {numbers.shape}")
    if op == "multiply":  # the axes along which the numbers differ become the channels
        first = next(axis for axis, size in enumerate(numbers.shape) if size != 1)
        factors = np.broadcast_to(numbers, (*numbers.shape[:first], *ref.shape[first:]))
        flat = operator.reshape(ref, (*ref.shape[:first], factors.size))
        scaled = operator.builder.affine(operator.layer(), flat, factors.reshape(-1), 0.0)
        return operator.reshape(scaled, ref.shape)
    return operator.builder.add_constant(operator.name, ref, numbers)


def _squared_difference(operator: FileOperator) -> Value:
    first, second = operator.inputs[:2]
    if isinstance(first, Value) and isinstance(second, Value):
        apart, shape = _of_two(operator, "subtract", operator.floats(0), operator.floats(1))
    else:
        place = 0 if isinstance(first, Value) else 1
        value, constant = operator.floats(place), operator.constant(1 - place)
        moved = _with_constant(operator, "subtract", value, constant, is_reversed=False)
        apart, shape = moved.ref, moved.shape
    return Value(operator.builder.activation(f"{operator.name}_square", apart, "square"), shape)


def _power(operator: FileOperator) -> Value:
    value, exponent = operator.floats(0), operator.constant(1)
    number = float(exponent.reshape(-1)[0]) if exponent.size == 1 else float("nan")
    functions = {2.0: "square", 0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}
    if number == 1:
        return value
    if number == 3:
        square = operator.builder.activation(f"{operator.name}_square", value.ref, "square")
        return Value(operator.add("multiply", (square, value.ref), square.shape), value.shape)
    if number not in functions:
        raise operator.refusal(f"the exponent is {exponent.reshape(-1)[:4]}")
    function = functions[number]
    return Value(operator.builder.activation(operator.name, value.ref, function), value.shape)


def _negative(operator: FileOperator) -> Value:
    value = operator.floats(0)
    return Value(operator.builder.affine(operator.layer(), value.ref, -1.0, 0.0), value.shape)


def _sum_of_several(operator: FileOperator) -> Value:
    total = operator.floats(0)
    for place in range(1, len(operator.inputs)):
        ref, shape = _of_two(operator, "add", total, operator.floats(place))
        total = Value(ref, shape)
    return total


def _select(operator: FileOperator) -> Value:
    """A mask that is constant: minus infinity in the place of some scores."""
    mask, value = operator.constant(0).astype(bool), operator.floats(1)
    other = operator.constant(2).astype(np.float64)
    if (other > -1e3).any():
        raise operator.refusal("it chooses between numbers")
    shape = broadcast_shape([mask.shape, value.shape])
    numbers = np.where(mask, 0.0, -_INFINITE)
    ref = _aligned(operator, value, shape)
    numbers = numbers.reshape((1,) * (len(shape) - numbers.ndim) + numbers.shape)
    numbers = numbers[0] if is_batched(shape) else numbers
    if prod(shape) != prod(value.shape):
        raise operator.refusal("its mask is larger than the tensor")
    return Value(operator.builder.add_constant(operator.name, ref, numbers), shape)


def _reduced(operator: FileOperator) -> tuple[Value, tuple[int, ...], Shape]:
    """The tensor, the axes that are reduced, and the shape of the answer."""
    value, rank = operator.floats(0), len(operator.value(0).shape)
    axes = tuple(sorted({axis % rank for axis in integers(operator.constant(1))}))
    sizes = enumerate(value.shape)
    if operator.options.keepDims:
        return value, axes, tuple(1 if axis in axes else size for axis, size in sizes)
    return value, axes, tuple(size for axis, size in sizes if axis not in axes)


def _mean(operator: FileOperator) -> Value:
    value, axes, shape = _reduced(operator)
    return operator.finish(_mean_of(operator, value, axes), shape)


def _mean_of(operator: FileOperator, value: Value, axes: tuple[int, ...]) -> Ref:
    """Mean over axes of the file, which stay as axes of size 1 or go, as the graph prefers."""
    if value.has_batch and axes and axes[0] == 0:  # the mean of one sample is the sample
        axes = axes[1:]
    ref = value.ref
    in_graph = tuple(axis if value.has_batch else axis + 1 for axis in axes)
    places = len(ref.shape) - 1
    if not axes:
        return ref
    if places in (1, 2) and in_graph == tuple(range(1, places + 1)):
        plain = {"keepdims": False, "rank": places}
        return operator.add("global_average_pool", (ref,), ref.shape[-1:], plain)
    shape = tuple(1 if axis + 1 in in_graph else size for axis, size in enumerate(ref.shape))
    return operator.add("mean", (ref,), shape, {"axes": in_graph, "keepdims": True})


def _sum(operator: FileOperator) -> Value:
    value, axes, shape = _reduced(operator)
    count = prod(value.shape[axis] for axis in axes)
    mean = operator.reshape(_mean_of(operator, value, axes), graph_shape(shape))
    total = operator.builder.affine(operator.layer("count"), mean, float(count), 0.0)
    return Value(total, shape)


def _maximum(operator: FileOperator) -> Value:
    value, axes, shape = _reduced(operator)
    places = len(value.ref.shape) - 1
    if not value.has_batch or places not in (1, 2) or axes != tuple(range(1, places + 1)):
        raise operator.refusal(f"it is over the axes {axes} of {value.shape}, not over all places")
    plain = {"keepdims": False, "rank": places}
    answer = operator.add("global_max_pool", (value.ref,), value.ref.shape[-1:], plain)
    return operator.finish(answer, shape)


#: Rules of operators that work element by element, and of those that reduce axes.
ARITHMETIC_RULES: dict[str, Rule] = {
    "ADD": _binary("add"),
    "SUB": _binary("subtract"),
    "MUL": _binary("multiply"),
    "DIV": _binary("divide"),
    "MAXIMUM": _binary("maximum"),
    "MINIMUM": _binary("minimum"),
    "SQUARED_DIFFERENCE": _squared_difference,
    "POW": _power,
    "NEG": _negative,
    "ADD_N": _sum_of_several,
    "SELECT": _select,
    "SELECT_V2": _select,
    "MEAN": _mean,
    "SUM": _sum,
    "REDUCE_MAX": _maximum,
}
