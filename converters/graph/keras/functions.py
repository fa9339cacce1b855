"""Readers of functions on Keras tensors: `x + y`, `tf.nn.relu(x)`, `ops.mean(x)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from converters.graph.builder import GraphBuilder, Ref
from converters.graph.keras.activations import add_activation
from converters.graph.keras.calls import Call
from converters.graph.keras.one_dimension import add_pad
from converters.graph.limits import add_clip, add_limit
from converters.graph.node import CONCAT

FunctionReader = Callable[[GraphBuilder, Call], Ref]


def _identity(_: GraphBuilder, call: Call) -> Ref:
    return call.sources[0]


def _argument(call: Call, position: int, *names: str, default: Any = None) -> Any:
    """An argument, however it was given: Keras 3 keeps some as attributes of the operation."""
    for name in names:
        if call.kwargs.get(name) is not None:
            return call.kwargs[name]
        if name in vars(call.layer):
            return vars(call.layer)[name]
    return call.args[position] if len(call.args) > position else default


def _operands(call: Call) -> list[Any]:
    operands = [value for value in call.args if value is not None]
    operands += [call.kwargs[name] for name in ("x", "y", "x1", "x2") if name in call.kwargs]
    return operands[:2]


def _binary(op: str) -> FunctionReader:
    def read(builder: GraphBuilder, call: Call) -> Ref:
        first, second = _operands(call)
        if isinstance(first, Ref) and isinstance(second, Ref):
            if op == "divide":
                raise builder.refusal(call.source_layer, "of two tensors")
            return builder.add(call.name, op, (first, second), call.shape)
        is_reversed = isinstance(second, Ref)
        source: Ref = second if is_reversed else first
        if source.shape != call.shape:
            raise builder.refusal(
                call.source_layer, "with a constant that is larger than the tensor"
            )
        value = first if is_reversed else second
        if op in ("maximum", "minimum"):
            return _limit(builder, call, op, source, value)
        if op in ("add", "subtract") and not _is_by_channel(value, source.shape[-1]):
            sign = -1 if op == "subtract" and not is_reversed else 1
            if op == "subtract" and is_reversed:
                source = builder.affine(call.source_layer, source, -1.0, 0.0)
            return builder.add_constant(call.name, source, sign * np.asarray(value, np.float32))
        scale, offset = _constant(builder, call, op, value, is_reversed)
        return builder.affine(call.source_layer, source, scale, offset)

    return read


def _is_by_channel(value: Any, channels: int) -> bool:
    """Whether a constant has one number, or one for each channel."""
    array = np.asarray(value)
    return array.size == 1 or array.size == channels == array.shape[-1]


def _limit(builder: GraphBuilder, call: Call, op: str, source: Ref, value: Any) -> Ref:
    """Read the maximum or minimum of a tensor and a number."""
    if np.size(value) != 1:
        raise builder.refusal(call.source_layer, "with a constant of several numbers")
    limit = float(np.reshape(np.asarray(value, np.float64), ()))
    return add_limit(builder, call.source_layer, op, source, limit)


def _constant(
    builder: GraphBuilder, call: Call, op: str, value: Any, is_reversed: bool
) -> tuple[Any, Any]:
    """Scale and offset that do the same as an op with a constant."""
    number = np.asarray(value, np.float64)
    if op == "add":
        return 1.0, number
    if op == "subtract":
        return (-1.0, number) if is_reversed else (1.0, -number)
    if op == "multiply":
        return number, 0.0
    if op == "divide" and not is_reversed:
        return 1 / number, 0.0
    raise builder.refusal(call.source_layer, "with a constant")


def _activation(name: str) -> FunctionReader:
    def read(builder: GraphBuilder, call: Call) -> Ref:
        (source,) = call.sources
        if name == "softmax":
            axis = _argument(call, 1, "axis", default=-1)
            return builder.activation(call.name, source, "softmax", axis=axis)
        if name == "leaky_relu":
            slope = _argument(call, 1, "alpha", "negative_slope", default=0.2)
            return builder.activation(call.name, source, "leaky_relu", slope=float(slope))
        if name == "gelu":
            approximate = bool(_argument(call, 1, "approximate", default=False))
            return builder.activation(call.name, source, "gelu", approximate=approximate)
        if name == "hard_sigmoid":
            return add_clip(builder, call.source_layer, source, 0.0, 1.0, 1 / 6, 0.5)
        return add_activation(builder, call, source, name)

    return read


def _clip(builder: GraphBuilder, call: Call) -> Ref:
    low = float(_argument(call, 1, "clip_value_min", "x_min"))
    high = float(_argument(call, 2, "clip_value_max", "x_max"))
    (source,) = call.sources
    return add_clip(builder, call.source_layer, source, low, high)


def _concat(builder: GraphBuilder, call: Call) -> Ref:
    axis = _argument(call, 1, "axis", default=-1)
    plain = {"axis": int(axis) % (len(call.shape) + 1)}
    return builder.add(call.name, CONCAT, call.sources, call.shape, plain)


def _reduce(op: str) -> FunctionReader:
    def read(builder: GraphBuilder, call: Call) -> Ref:
        (source,) = call.sources
        axes = _argument(call, 1, "axis", default=())
        keepdims = bool(_argument(call, 2, "keepdims", "keep_dims", default=False))
        rank = len(source.shape) + 1
        reduced = {int(axis) % rank for axis in np.atleast_1d(np.asarray(axes, np.int64))}
        if op == "global_average_pool" and 0 not in reduced and reduced != set(range(1, rank - 1)):
            plain = {"axes": tuple(sorted(reduced)), "keepdims": keepdims}
            return builder.add(call.name, "mean", (source,), call.shape, plain)
        if rank not in (3, 4) or reduced != set(range(1, rank - 1)):
            raise builder.refusal(call.source_layer, "over other axes than height and width")
        plain = {"keepdims": keepdims, "rank": rank - 2}
        return builder.add(call.name, op, (source,), call.shape, plain)

    return read


def _cast(builder: GraphBuilder, call: Call) -> Ref:
    (source,) = call.sources
    dtype = _argument(call, 1, "dtype")
    is_float = "float" in str(getattr(dtype, "name", dtype))
    if not is_float and not builder.is_whole(source):
        raise builder.refusal(call.source_layer, "of floats to whole numbers")
    return builder.floats_of(source) if is_float else source


def _reshape(builder: GraphBuilder, call: Call) -> Ref:
    return builder.add(call.name, "reshape", call.sources[:1], call.shape)


def _slice(builder: GraphBuilder, call: Call) -> Ref:
    key = _argument(call, 1, "slice_spec", "key")  # Keras 2 names it when it was loaded
    rank = len(call.sources[0].shape) + 1
    keys = key if isinstance(key, (list, tuple)) else (key,)
    parts = [_part(part) for part in _without_ellipsis(keys, rank)]
    if None in parts or len(parts) > rank:
        raise builder.refusal(call.source_layer, "with other keys than slices and numbers")
    if parts[:1] != [(None, None, None)]:
        raise builder.refusal(call.source_layer, "along the batch axis")
    plain = {"slices": tuple(parts)}
    if not any(_is_number(part) for part in keys):
        return builder.add(call.name, "slice", call.sources, call.shape, plain)
    sizes = zip(parts[1:], call.sources[0].shape, strict=False)
    shape = [len(range(size)[slice(*part)]) for part, size in sizes if part is not None]
    shape += call.sources[0].shape[len(shape) :]
    piece = builder.add(f"{call.name}_piece", "slice", call.sources, tuple(shape), plain)
    return builder.add(call.name, "reshape", (piece,), call.shape)


def _without_ellipsis(keys: Sequence[Any], rank: int) -> list[Any]:
    """Keys of a tensor of so many axes, with a whole slice for each that `...` stands for."""
    every = [slice(None)] * (rank - len(keys) + 1)
    return [part for key in keys for part in (every if key is Ellipsis else [key])]


def _part(key: Any) -> tuple[Any, Any, Any] | None:
    """Start, stop and step, also of a single place; None for what is neither."""
    if _is_number(key):
        return (int(key), int(key) + 1 or None, None)
    if isinstance(key, dict):
        return key["start"], key["stop"], key["step"]
    return (key.start, key.stop, key.step) if isinstance(key, slice) else None


def _is_number(key: Any) -> bool:
    return isinstance(key, (int, np.integer)) and not isinstance(key, bool)


def _matmul(builder: GraphBuilder, call: Call) -> Ref:
    first, second = _operands(call)
    if not (isinstance(first, Ref) and isinstance(second, Ref)):
        raise builder.refusal(call.source_layer, "with a constant")
    if _argument(call, 2, "transpose_a", default=False):
        raise builder.refusal(call.source_layer, "with transpose_a")
    plain = {"transpose_b": bool(_argument(call, 3, "transpose_b", default=False))}
    return builder.add(call.name, "matmul", (first, second), call.shape, plain)


def _transpose(builder: GraphBuilder, call: Call) -> Ref:
    axes = _argument(call, 1, "perm", "axes")
    if axes is None or int(axes[0]) != 0:
        raise builder.refusal(call.source_layer, "of the batch axis")
    dims = tuple(int(axis) for axis in np.asarray(axes)[1:])
    return builder.add(call.name, "permute", call.sources, call.shape, {"dims": dims})


def _negative(builder: GraphBuilder, call: Call) -> Ref:
    return builder.affine(call.source_layer, call.sources[0], -1.0, 0.0)


def _pad(builder: GraphBuilder, call: Call) -> Ref:
    widths = np.asarray(_argument(call, 1, "paddings", "pad_width"))
    mode = str(_argument(call, 2, "mode", default="constant")).lower()
    value = _argument(call, 3, "constant_values", default=0) or 0
    value = float(np.asarray(value))
    if widths.ndim != 2 or len(widths) not in (3, 4) or widths[[0, -1]].any():
        raise builder.refusal(call.source_layer, "of other axes than height and width")
    sides = tuple((int(a), int(b)) for a, b in widths[1:-1])
    if mode == "constant" and not value:
        return add_pad(builder, call, "zero_pad", sides)
    if mode == "constant":
        return add_pad(builder, call, "constant_pad", sides, value=value)
    if mode in ("symmetric", "reflect"):
        return add_pad(builder, call, "mirror_pad", sides, mode=mode)
    raise builder.refusal(call.source_layer, f"of the mode {mode}")


_ACTIVATIONS = {
    "relu": ("nn.relu", "Relu"),
    "relu6": ("nn.relu6", "Relu6"),
    "leaky_relu": ("nn.leaky_relu", "LeakyRelu"),
    "elu": ("nn.elu", "Elu"),
    "selu": ("nn.selu", "Selu"),
    "sigmoid": ("math.sigmoid", "nn.sigmoid", "Sigmoid"),
    "tanh": ("math.tanh", "nn.tanh", "Tanh"),
    "softmax": ("nn.softmax", "Softmax"),
    "silu": ("nn.silu", "nn.swish", "Silu"),
    "gelu": ("nn.gelu", "Gelu"),
    "softplus": ("math.softplus", "nn.softplus", "Softplus"),
    "softsign": ("nn.softsign", "Softsign"),
    "exponential": ("math.exp", "Exp"),
    "hard_sigmoid": ("HardSigmoid",),
    "hard_silu": ("HardSilu", "HardSwish"),
}
_BINARY = {
    "add": ("__operators__.add", "math.add", "Add"),
    "subtract": ("math.subtract", "Subtract"),
    "multiply": ("math.multiply", "Multiply"),
    "divide": ("math.truediv", "math.divide", "TrueDivide", "Divide"),
    "maximum": ("math.maximum", "Maximum"),
    "minimum": ("math.minimum", "Minimum"),
}

#: Readers by TensorFlow's symbol, or Keras 3's class, of a function.
FUNCTION_READERS: dict[str, FunctionReader] = {
    **{name: _activation(key) for key, names in _ACTIVATIONS.items() for name in names},
    **{name: _binary(op) for op, names in _BINARY.items() for name in names},
    **dict.fromkeys(("identity", "stop_gradient"), _identity),
    **dict.fromkeys(("cast", "Cast"), _cast),
    **dict.fromkeys(("clip_by_value", "Clip"), _clip),
    **dict.fromkeys(("concat", "Concatenate"), _concat),
    **dict.fromkeys(("math.reduce_mean", "Mean"), _reduce("global_average_pool")),
    **dict.fromkeys(("math.reduce_max", "Max"), _reduce("global_max_pool")),
    **dict.fromkeys(
        ("reshape", "Reshape", "expand_dims", "ExpandDims", "squeeze", "Squeeze"), _reshape
    ),
    **dict.fromkeys(("__operators__.getitem", "GetItem"), _slice),
    **dict.fromkeys(("pad", "Pad"), _pad),
    **dict.fromkeys(("linalg.matmul", "matmul", "Matmul"), _matmul),
    **dict.fromkeys(("transpose", "Transpose"), _transpose),
    **dict.fromkeys(("math.negative", "__operators__.neg", "Negative"), _negative),
}
