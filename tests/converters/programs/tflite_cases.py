"""Run as a program: makes a tiny .tflite of each op, reads it as a graph, and runs both.

Arguments: a folder for the files, a file for the report, and names of cases; none for all of them.
The report is JSON: name of a case to the builtins of its file, the ops of its graph, and the
largest difference, or the message of the refusal.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tf_keras
from ai_edge_litert import schema_py_generated as schema

from converters.errors import ConversionError
from converters.sources import tflite_graph
from converters.sources.import_check import check_import
from converters.sources.kinds import identify
from converters.sources.load import load_model
from converters.tflite.reader import read_model
from converters.tflite.unpacked import UnpackedModel

RANDOM = np.random.default_rng(5)
#: Models that must live as long as a function of them.
HELD: list[Any] = []
#: Pads of one pixel around an image.
AROUND = [[0, 0], [1, 1], [1, 1], [0, 0]]
#: Shapes of inputs, with the batch.
IMAGE, SEQUENCE, FLAT = (1, 8, 6, 4), (1, 10, 6), (1, 12)


def weights(*shape: int) -> Any:
    return tf.constant(RANDOM.normal(0, 0.5, shape).astype(np.float32))


def bias(x: Any) -> Any:
    return x + weights(int(x.shape[-1]))


def conv(x: Any, *, size: int = 3, outputs: int = 6, groups: int = 1, **how: Any) -> Any:
    settings = {"strides": 1, "padding": "SAME", **how}
    return bias(tf.nn.conv2d(x, weights(size, size, x.shape[-1] // groups, outputs), **settings))


def depthwise(x: Any, multiplier: int = 1, **how: Any) -> Any:
    settings = {"strides": (1, 1, 1, 1), "padding": "SAME", **how}
    return bias(tf.nn.depthwise_conv2d(x, weights(3, 3, x.shape[-1], multiplier), **settings))


def conv_transpose(size: int, stride: int, shape: tuple[int, int], padding: str) -> Any:
    def call(x: Any) -> Any:
        kernel = weights(size, size, 5, x.shape[-1])
        return bias(tf.nn.conv2d_transpose(x, kernel, (1, *shape, 5), stride, padding))

    return call


def conv_1d(x: Any, **how: Any) -> Any:
    return bias(
        tf.nn.conv1d(x, weights(3, x.shape[-1], 5), **{"stride": 1, "padding": "SAME", **how})
    )


def dense(x: Any, outputs: int = 5) -> Any:
    return bias(tf.matmul(x, weights(x.shape[-1], outputs)))


def attention(x: Any, heads: int = 2) -> Any:
    length, channels = x.shape[1], x.shape[2]
    apart = [
        tf.transpose(
            tf.reshape(dense(x, channels), (-1, length, heads, channels // heads)), (0, 2, 1, 3)
        )
        for _ in range(3)
    ]
    scores = tf.matmul(apart[0], apart[1], transpose_b=True) * (channels // heads) ** -0.5
    mask = tf.constant(np.where(np.tri(length), 0, -1e9).astype(np.float32))
    values = tf.transpose(tf.matmul(tf.nn.softmax(scores + mask), apart[2]), (0, 2, 1, 3))
    return dense(tf.reshape(values, (-1, length, channels)), channels)


def layer_norm(x: Any) -> Any:
    mean, variance = tf.nn.moments(x, -1, keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + 1e-5) * weights(x.shape[-1]) + weights(x.shape[-1])


def keras_layer_norm(x: Any) -> Any:
    """The scale times the root first, as Keras 3 computes it."""
    mean, variance = tf.nn.moments(x, -1, keepdims=True)
    scale = tf.math.rsqrt(variance + 1e-3) * weights(1, 1, x.shape[-1])
    return x * scale + (weights(1, 1, x.shape[-1]) - mean * scale)


def wide_constant(x: Any) -> Any:
    return tf.reduce_mean(x, -1, keepdims=True) * weights(1, 10, 5) + weights(5)


def group_norm(x: Any) -> Any:
    apart = tf.reshape(x, (-1, x.shape[1] * x.shape[2], 2, x.shape[3] // 2))
    mean, variance = tf.nn.moments(apart, (1, 3), keepdims=True)
    norm = (apart - mean) * tf.math.rsqrt(variance + 1e-5)
    return tf.reshape(norm, (-1, *x.shape[1:])) * weights(x.shape[-1])


def padded_pool(x: Any) -> Any:
    padded = tf.pad(conv(x), AROUND, constant_values=-3.4028235e38)
    return tf.nn.max_pool2d(padded, 3, 2, "VALID")


def unbatched_dense(x: Any) -> Any:
    """Rows in the place of samples, as converters from PyTorch write them."""
    rows = tf.reshape(x, (x.shape[1], x.shape[2]))
    return tf.reshape(dense(rows), (1, x.shape[1], 5))


def axes_moved(x: Any) -> Any:
    moved = tf.transpose(x, (1, 0, 2))
    return tf.transpose(moved * weights(6) + weights(10, 1, 6), (1, 0, 2))


def class_token(x: Any) -> Any:
    return dense(tf.concat([weights(1, 1, 6), x], 1) + weights(1, 11, 6))


def prelu(x: Any) -> Any:
    return tf.nn.relu(x) + weights(1, 1, 4) * tf.nn.relu(-x)


def masked_attention(x: Any) -> Any:
    scores = tf.matmul(x, x, transpose_b=True)
    return tf.nn.softmax(tf.where(tf.constant(np.tri(10, dtype=bool)), scores, -3e38))


def squeeze_excite(x: Any) -> Any:
    y = conv(x)
    gate = tf.nn.sigmoid(dense(tf.nn.relu(dense(tf.reduce_mean(y, (1, 2)))), 6))
    return y * tf.reshape(gate, (-1, 1, 1, 6))


def embedding(x: Any) -> Any:
    return tf.gather(weights(20, 4), tf.cast(x, tf.int32))


def flat_embedding(x: Any) -> Any:
    rows = tf.gather(weights(20, 4), tf.cast(tf.reshape(x, (7,)), tf.int32))
    return tf.reshape(rows * 2.0, (1, 7, 4))


def make_lstm() -> Callable[[Any], Any]:
    """An LSTM of a model, which the converter makes one operator of."""
    model = tf_keras.Sequential([tf_keras.layers.LSTM(5, return_sequences=True)])
    model.build(SEQUENCE)
    model.set_weights([RANDOM.normal(0, 0.5, w.shape) for w in model.get_weights()])
    HELD.append(model)
    return lambda x: model(x, training=False)


Case = tuple[tuple[int, ...], Callable[[Any], Any]]
CASES: dict[str, Case] = {
    "conv": (IMAGE, conv),
    "conv, strides": (IMAGE, lambda x: conv(x, strides=2)),
    "conv, valid": (IMAGE, lambda x: conv(x, padding="VALID")),
    "conv, dilation": (IMAGE, lambda x: conv(x, dilations=2, padding="VALID")),
    "conv, same dilation": (IMAGE, lambda x: conv(x, dilations=2)),
    "conv, groups": (IMAGE, lambda x: conv(x, groups=2)),
    "conv, relu": (IMAGE, lambda x: tf.nn.relu(conv(x))),
    "conv, relu6": (IMAGE, lambda x: tf.nn.relu6(conv(x))),
    "conv, pads": (IMAGE, lambda x: conv(tf.pad(x, AROUND), padding="VALID", strides=2)),
    "conv, batch norm": (IMAGE, lambda x: conv(x) * weights(6) + weights(6)),
    "depthwise": (IMAGE, depthwise),
    "depthwise, multiplier": (IMAGE, lambda x: depthwise(x, 2)),
    "depthwise, strides": (IMAGE, lambda x: depthwise(x, strides=(1, 2, 2, 1))),
    "conv transpose": (IMAGE, conv_transpose(3, 2, (16, 12), "SAME")),
    "conv transpose, valid": (IMAGE, conv_transpose(3, 2, (17, 13), "VALID")),
    "conv transpose, odd": (IMAGE, conv_transpose(4, 2, (15, 12), "SAME")),
    "conv 1d": (SEQUENCE, conv_1d),
    "conv 1d, strides": (SEQUENCE, lambda x: conv_1d(x, stride=2, padding="VALID")),
    "conv 1d, dilation": (SEQUENCE, lambda x: conv_1d(x, dilations=2, padding="VALID")),
    "dense": (FLAT, dense),
    "dense of a sequence": (SEQUENCE, dense),
    "dense, flattened": (IMAGE, lambda x: dense(tf.reshape(x, (1, -1)))),
    "dense, rows": (SEQUENCE, unbatched_dense),
    "matmul of two": (SEQUENCE, lambda x: tf.matmul(x, dense(x, 6), transpose_b=True)),
    "matmul by a constant before": (SEQUENCE, lambda x: tf.matmul(weights(1, 3, 10), x)),
    "add": (IMAGE, lambda x: conv(x) + conv(x)),
    "subtract": (IMAGE, lambda x: conv(x) - conv(x)),
    "multiply": (IMAGE, lambda x: conv(x) * conv(x)),
    "divide": (IMAGE, lambda x: conv(x) / (2.0 + tf.abs(conv(x)))),
    "maximum": (IMAGE, lambda x: tf.maximum(conv(x), conv(x))),
    "minimum": (IMAGE, lambda x: tf.minimum(conv(x), conv(x))),
    "scalars": (IMAGE, lambda x: 1.0 - (x * 0.5 + 3.0) / 4.0),
    "reciprocal": (IMAGE, lambda x: 2.0 / (x * x + 1.0)),
    "constant of each place": (SEQUENCE, lambda x: x + weights(1, 10, 6)),
    "ranks differ": (SEQUENCE, lambda x: dense(x, 4) + tf.reduce_mean(dense(x, 4), 1)),
    "squeeze and excite": (IMAGE, squeeze_excite),
    "mean of places": (IMAGE, lambda x: tf.reduce_mean(conv(x), (1, 2))),
    "mean, kept": (IMAGE, lambda x: tf.reduce_mean(conv(x), (1, 2), keepdims=True)),
    "mean of a sequence": (SEQUENCE, lambda x: tf.reduce_mean(x, 1)),
    "mean of channels": (SEQUENCE, lambda x: tf.reduce_mean(x, -1, keepdims=True) + x),
    "sum": (SEQUENCE, lambda x: tf.reduce_sum(dense(x), 1)),
    "maximum of places": (IMAGE, lambda x: tf.reduce_max(conv(x), (1, 2))),
    "max pool": (IMAGE, lambda x: tf.nn.max_pool2d(x, 3, 2, "SAME")),
    "average pool": (IMAGE, lambda x: tf.nn.avg_pool2d(x, 3, 2, "SAME")),
    "average pool of the map": (IMAGE, lambda x: tf.nn.avg_pool2d(conv(x), (8, 6), 1, "VALID")),
    "max pool, padded by -inf": (IMAGE, padded_pool),
    "pad": (IMAGE, lambda x: tf.pad(x, [[0, 0], [1, 2], [3, 0], [0, 0]])),
    "pad of channels": (IMAGE, lambda x: tf.pad(x, [[0, 0], [0, 0], [0, 0], [1, 2]])),
    "pad of a sequence": (SEQUENCE, lambda x: tf.pad(x, [[0, 0], [2, 0], [0, 0]])),
    "pad by a number": (IMAGE, lambda x: tf.pad(x, AROUND, constant_values=2.0)),
    "mirror pad": (IMAGE, lambda x: tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]], "REFLECT")),
    "mirror pad, symmetric": (SEQUENCE, lambda x: tf.pad(x, [[0, 0], [2, 2], [0, 0]], "SYMMETRIC")),
    "resize, bilinear": (IMAGE, lambda x: tf.image.resize(x, (12, 12))),
    "resize, nearest": (IMAGE, lambda x: tf.image.resize(x, (16, 12), "nearest")),
    "resize, nearest, odd": (IMAGE, lambda x: tf.image.resize(x, (11, 9), "nearest")),
    "depth to space": (IMAGE, lambda x: tf.nn.depth_to_space(conv(x, outputs=8), 2)),
    "space to depth": (IMAGE, lambda x: tf.nn.space_to_depth(x, 2)),
    "concatenation": (IMAGE, lambda x: tf.concat([x, conv(x)], -1)),
    "concatenation of rows": (IMAGE, lambda x: tf.concat([x, x * 2.0], 1)),
    "concatenation, constant": (SEQUENCE, class_token),
    "split": (IMAGE, lambda x: tf.multiply(*tf.split(x, 2, -1))),
    "split, sizes": (IMAGE, lambda x: tf.split(x, [1, 3], -1)[1] * 2.0),
    "slice": (IMAGE, lambda x: tf.slice(x, [0, 1, 0, 1], [1, 5, 6, 2])),
    "strided slice": (IMAGE, lambda x: x[:, 1::2, :-1, 3] * 2.0),
    "strided slice, reversed": (SEQUENCE, lambda x: x[:, ::-1, :] + 1.0),
    "gather of one": (SEQUENCE, lambda x: tf.gather(x, 3, axis=1)),
    "gather of several": (SEQUENCE, lambda x: tf.gather(x, [1, 3, 5, 0], axis=1)),
    "pack, unpack": (SEQUENCE, lambda x: tf.stack(tf.unstack(x, axis=1)[2:5], axis=2)),
    "transpose": (IMAGE, lambda x: tf.transpose(conv(x), (0, 3, 1, 2)) + 1.0),
    "transpose of the batch": (SEQUENCE, axes_moved),
    "tile": (SEQUENCE, lambda x: tf.tile(x, [1, 2, 1])),
    "broadcast": (FLAT, lambda x: tf.broadcast_to(tf.reshape(x, (1, 1, 12)), (1, 5, 12)) + 0.0),
    "reverse": (SEQUENCE, lambda x: tf.reverse(x, [1])),
    "embedding": ((1, 7), embedding),
    "softmax": (FLAT, lambda x: tf.nn.softmax(dense(x))),
    "log softmax": (FLAT, lambda x: tf.nn.log_softmax(dense(x))),
    "relu": (IMAGE, tf.nn.relu),
    "relu6": (IMAGE, tf.nn.relu6),
    "relu -1 to 1": (IMAGE, lambda x: tf.clip_by_value(x, -1.0, 1.0)),
    "relu 0 to 1": (IMAGE, lambda x: tf.clip_by_value(x, 0.0, 1.0)),
    "clip": (IMAGE, lambda x: tf.clip_by_value(x, -0.5, 2.5)),
    "leaky relu": (IMAGE, lambda x: tf.nn.leaky_relu(x, 0.1)),
    "prelu": (IMAGE, prelu),
    "elu": (IMAGE, tf.nn.elu),
    "sigmoid": (IMAGE, tf.nn.sigmoid),
    "tanh": (IMAGE, tf.nn.tanh),
    "hard swish": (IMAGE, lambda x: x * tf.nn.relu6(x + 3.0) / 6.0),
    "hard sigmoid": (IMAGE, lambda x: tf.nn.relu6(x + 3.0) / 6.0),
    "swish": (IMAGE, lambda x: x * tf.nn.sigmoid(x)),
    "gelu": (IMAGE, tf.nn.gelu),
    "gelu by tanh": (IMAGE, lambda x: tf.nn.gelu(x, approximate=True)),
    "softplus": (IMAGE, tf.nn.softplus),
    "mish": (IMAGE, lambda x: x * tf.nn.tanh(tf.nn.softplus(x))),
    "exponential": (IMAGE, tf.exp),
    "roots": (IMAGE, lambda x: tf.sqrt(x * x + 1.0) + tf.math.rsqrt(x * x + 1.0)),
    "powers": (IMAGE, lambda x: tf.pow(x, 2.0) + tf.pow(x, 3.0)),
    "logarithm": (IMAGE, lambda x: tf.math.log(x * x + 1.0)),
    "unit norm": (SEQUENCE, lambda x: tf.math.l2_normalize(x, -1)),
    "layer norm": (SEQUENCE, layer_norm),
    "layer norm, one product": (SEQUENCE, keras_layer_norm),
    "factor of each place": (SEQUENCE, lambda x: x * weights(1, 10, 6)),
    "constant of more channels": (SEQUENCE, wide_constant),
    "group norm": (IMAGE, group_norm),
    "attention": (SEQUENCE, attention),
    "attention, mask chosen": (SEQUENCE, masked_attention),
    "lstm": (SEQUENCE, make_lstm()),
}  # fmt: skip


#: Models with an operator that no rule reads.
UNREAD: dict[str, Case] = {
    "cumulative sum": (SEQUENCE, lambda x: dense(tf.cumsum(dense(x), 1))),
}


def convert(case: Case, path: Path) -> None:
    shape, call = case
    function = tf.function(call).get_concrete_function(tf.TensorSpec(shape, tf.float32, name="x"))
    holder = tf.Module()
    holder.variables_of_function = list(function.graph.variables)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
    path.write_bytes(converter.convert())


def _squeeze(model: UnpackedModel, operator: Any) -> None:
    options = schema.SqueezeOptionsT()
    options.squeezeDims = [1]
    model.set_op(operator, "SQUEEZE", options, schema.BuiltinOptions.SqueezeOptions)
    operator.inputs = operator.inputs[:1]


def _expand_dims(model: UnpackedModel, operator: Any) -> None:
    model.set_op(operator, "EXPAND_DIMS")
    operator.inputs = [operator.inputs[0], model.add_integers([1])]


def _lookup(model: UnpackedModel, _: Any) -> None:
    operator = next(op for op in model.operators if model.op(op) == "GATHER")
    model.set_op(operator, "EMBEDDING_LOOKUP")
    operator.inputs = [operator.inputs[1], operator.inputs[0]]


def _transposed_with_bias(model: UnpackedModel, _: Any) -> None:
    operator = next(op for op in model.operators if model.op(op) == "TRANSPOSE_CONV")
    options = operator.builtinOptions
    numbers = [_PADDING_NUMBERS[options.padding], options.strideW, options.strideH, 0, 0]
    kernel, image = operator.inputs[1:3]
    bias = len(model.tensors)
    values = np.linspace(-1, 1, model.shape(int(kernel))[0], dtype=np.float32)
    model.tensors.append(schema.TensorT())
    model.tensors[bias].name, model.tensors[bias].shape = "bias", [len(values)]
    model.tensors[bias].buffer = len(model.model.buffers)
    model.model.buffers.append(schema.BufferT())
    model.model.buffers[-1].data = np.frombuffer(values.tobytes(), np.uint8)
    model.set_op(operator, "CUSTOM")
    code = model.model.operatorCodes[operator.opcodeIndex]
    code.customCode = "Convolution2DTransposeBias"
    operator.customOptions = np.frombuffer(np.array(numbers, "<i4").tobytes(), np.uint8)
    operator.inputs = [image, kernel, bias]


def _other(builtin: str) -> Callable[[UnpackedModel, Any], None]:
    return lambda model, operator: model.set_op(operator, builtin)


#: Padding of the schema to its number in the options of MediaPipe's transposed convolution.
_PADDING_NUMBERS = {schema.Padding.SAME: 1, schema.Padding.VALID: 2}

#: Case that TensorFlow's converter does not write to the case that it is made of, and the change of
#: the last operator.
EDITED: dict[str, tuple[Case, Callable[[UnpackedModel, Any], None]]] = {
    "square": (CASES["relu"], _other("SQUARE")),
    "negative": (CASES["relu"], _other("NEG")),
    "relu 0 to 1, one operator": (CASES["relu"], _other("RELU_0_TO_1")),
    "sum of several": (CASES["add"], _other("ADD_N")),
    "squeeze": (((1, 1, 12), lambda x: tf.reshape(x, (1, 12))), _squeeze),
    "expand dims": ((FLAT, lambda x: tf.reshape(x, (1, 1, 12))), _expand_dims),
    "conv transpose with bias": (CASES["conv transpose"], _transposed_with_bias),
    "conv transpose with bias, valid": (CASES["conv transpose, valid"], _transposed_with_bias),
    "embedding lookup": (((1, 7), flat_embedding), _lookup),
}


def edit(name: str, path: Path) -> None:
    case, change = EDITED[name]
    convert(case, path)
    model = UnpackedModel(path.read_bytes())
    change(model, model.operators[-1])
    path.write_bytes(model.pack())


def outcome(path: Path) -> dict[str, Any]:
    """Ops of a file and of its graph, and their difference or the message of a refusal."""
    differences = []

    def compare(*arguments: Any) -> float:
        differences.append(check_import(*arguments))
        return differences[-1]

    tflite_graph.check_import = compare
    builtins = [operator.name for operator in read_model(path).operators]
    try:
        graph = load_model(identify(path)).graph
    except ConversionError as error:
        return {"builtins": builtins, "message": str(error).replace(f"{path}: ", "")}
    ops = [str(node.attributes.get("function", node.op)) for node in graph.nodes]
    return {"builtins": builtins, "ops": ops, "difference": differences[0]}


def main(folder: Path, report: Path, names: list[str]) -> None:
    outcomes = {}
    for name in names or [*CASES, *EDITED]:
        path = folder / f"{name.replace(' ', '_')}.tflite"
        edit(name, path) if name in EDITED else convert({**CASES, **UNREAD}[name], path)
        outcomes[name] = outcome(path)
    report.write_text(json.dumps(outcomes, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
