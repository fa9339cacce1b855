"""Run as a program in a process of its own: writes tiny .tflite files of single ops.

python -m tests.converters.programs.write_cases FOLDER
Each case is written as NAME.float32.tflite and, where TensorFlow quantizes it, as NAME.int8.tflite.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
import tf_keras

layers = tf_keras.layers
PICTURE, ROWS = (8, 6, 4), (6, 8)


def keras_case(shape: tuple[int, ...], *own: Any) -> Any:
    """Layers one behind the other."""
    return tf_keras.Sequential([layers.Input(shape), *own])


def two_ways(combine: Callable[[Any, Any], Any]) -> Any:
    """Two convolutions of one picture, combined."""
    inputs = tf_keras.Input(PICTURE)
    first, second = (layers.Conv2D(4, 3, padding="same", activation=a)(inputs)
                     for a in ("relu", "sigmoid"))  # fmt: skip
    return tf_keras.Model(inputs, combine(first, second))


def function_case(
    compute: Callable[[Any], Any], shape: tuple[int, ...] = PICTURE, before: bool = True
) -> Any:
    """A function behind a convolution or a Dense layer, so that its input has a range."""
    inputs = tf_keras.Input(shape)
    x = inputs
    if before:
        x = layers.Conv2D(4, 3, padding="same")(x) if len(shape) == 3 else layers.Dense(8)(x)
    return tf_keras.Model(inputs, layers.Lambda(compute)(x))


def normalized() -> Any:
    """Layer normalization and attention behind a Dense layer."""
    inputs = tf_keras.Input(ROWS)
    x = layers.LayerNormalization()(layers.Dense(8)(inputs))
    return tf_keras.Model(inputs, layers.MultiHeadAttention(2, 4)(x, x))


CASES: dict[str, Callable[[], Any]] = {
    "conv_same_strided": lambda: keras_case(
        PICTURE, layers.Conv2D(5, 3, 2, "same", activation="relu6")
    ),
    "conv_valid_dilated": lambda: keras_case(PICTURE, layers.Conv2D(5, 3, dilation_rate=2)),
    "conv_grouped": lambda: keras_case(PICTURE, layers.Conv2D(6, 3, groups=2)),
    "conv_1d": lambda: keras_case(ROWS, layers.Conv1D(5, 3, activation="relu")),
    "depthwise": lambda: keras_case(
        PICTURE, layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=2, activation="relu")
    ),
    "transposed": lambda: keras_case(PICTURE, layers.Conv2DTranspose(3, 3, 2, "same")),
    "transposed_valid": lambda: keras_case(PICTURE, layers.Conv2DTranspose(3, 2, 3)),
    "dense": lambda: keras_case(PICTURE, layers.Flatten(), layers.Dense(7, activation="relu")),
    "dense_of_rows": lambda: keras_case(ROWS, layers.Dense(7)),
    "add": lambda: two_ways(lambda a, b: a + b),
    "subtract": lambda: two_ways(lambda a, b: a - b),
    "multiply": lambda: two_ways(lambda a, b: a * b),
    "maximum": lambda: two_ways(lambda a, b: tf.maximum(a, b)),
    "minimum": lambda: two_ways(lambda a, b: tf.minimum(a, b)),
    "concat": lambda: two_ways(lambda a, b: tf.concat([a, b], -1)),
    "squeeze_excite": lambda: two_ways(lambda a, b: a * tf.reduce_mean(b, (1, 2), keepdims=True)),
    "scaled": lambda: function_case(lambda x: x * np.array([1, 2, 3, 4], np.float32) + 0.5),
    "max_pool": lambda: keras_case(PICTURE, layers.MaxPooling2D(3, 2, "same")),
    "average_pool": lambda: keras_case(PICTURE, layers.AveragePooling2D(3, 2, "same")),
    "global_pool": lambda: keras_case(PICTURE, layers.GlobalAveragePooling2D(), layers.Dense(3)),
    "pad": lambda: keras_case(PICTURE, layers.ZeroPadding2D(((1, 0), (2, 1))), layers.Conv2D(3, 3)),
    "mirror_pad": lambda: function_case(
        lambda x: tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]], "SYMMETRIC")
    ),
    "reshape": lambda: keras_case(PICTURE, layers.Reshape((24, 8)), layers.Dense(3)),
    "transpose": lambda: function_case(lambda x: tf.transpose(x, (0, 3, 1, 2))),
    "softmax": lambda: keras_case(ROWS, layers.Dense(5), layers.Softmax()),
    "sigmoid": lambda: function_case(tf.sigmoid),
    "tanh": lambda: function_case(tf.tanh),
    "hard_swish": lambda: function_case(lambda x: x * tf.nn.relu6(x + 3) / 6),
    "leaky_relu": lambda: function_case(lambda x: tf.nn.leaky_relu(x, 0.3)),
    "relu_bounded": lambda: function_case(lambda x: tf.clip_by_value(x, -1.0, 1.0)),
    "prelu": lambda: keras_case(
        PICTURE,
        layers.Conv2D(4, 3),
        layers.PReLU(shared_axes=[1, 2], alpha_initializer=tf_keras.initializers.Constant(0.2)),
    ),
    "elu": lambda: function_case(tf.nn.elu),
    "gelu": lambda: function_case(tf.nn.gelu, ROWS),
    "exp": lambda: function_case(tf.exp),
    "squared_difference": lambda: two_ways(lambda a, b: tf.math.squared_difference(a, b)),
    "divided": lambda: function_case(lambda x: x / (tf.abs(x) + 1)),
    "bilinear": lambda: function_case(lambda x: tf.image.resize(x, (16, 12))),
    "nearest": lambda: function_case(lambda x: tf.image.resize(x, (16, 12), "nearest")),
    "mean_of_rows": lambda: function_case(lambda x: tf.reduce_mean(x, 1), ROWS),
    "sum_of_rows": lambda: function_case(lambda x: tf.reduce_sum(x, 1), ROWS),
    "largest": lambda: function_case(lambda x: tf.reduce_max(x, (1, 2))),
    "slice": lambda: function_case(lambda x: x[:, 1:7:2, ::-1, :3]),
    "row": lambda: function_case(lambda x: x[:, -1], ROWS),
    "split": lambda: function_case(lambda x: tf.concat(tf.split(x, 2, -1)[::-1], -1)),
    "stacked": lambda: function_case(lambda x: tf.stack(tf.unstack(x, axis=1)[::-1], 1), ROWS),
    "gather": lambda: function_case(lambda x: tf.gather(x, [2, 0, 0], axis=-1)),
    "tile": lambda: function_case(lambda x: tf.tile(x, (1, 2, 1, 1))),
    "depth_to_space": lambda: function_case(lambda x: tf.nn.depth_to_space(x, 2)),
    "space_to_depth": lambda: function_case(lambda x: tf.nn.space_to_depth(x, 2)),
    "batch_matmul": lambda: function_case(lambda x: tf.matmul(x, x, transpose_b=True), ROWS),
    "normalized": normalized,
    "lstm": lambda: keras_case(ROWS, layers.LSTM(5, return_sequences=True)),
    "lstm_backward": lambda: keras_case(ROWS, layers.LSTM(5, go_backwards=True)),
    "argmax": lambda: function_case(lambda x: tf.argmax(x, -1, tf.int32), ROWS),
}


def convert(model: Any, numbers: str) -> bytes:
    """Return the .tflite of a model, for a batch of one."""
    (shape,) = [each.shape for each in model.inputs]
    function = tf.function(model).get_concrete_function(tf.TensorSpec((1, *shape[1:]), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    if numbers == "int8":
        random = np.random.default_rng(0)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [random.normal(size=(1, *shape[1:])).astype(np.float32)] for _ in range(50)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        if model.output.dtype != tf.float32:
            converter.inference_output_type = tf.float32
    return bytes(converter.convert())


def main() -> None:
    """Write every case."""
    folder = Path(sys.argv[1])
    for name, make in CASES.items():
        tf_keras.utils.set_random_seed(1)
        model = make()
        for variable in model.trainable_variables:  # biases too are not 0
            variable.assign_add(tf.random.normal(variable.shape, stddev=0.05, seed=2))
        for numbers in ("float32", "int8"):
            try:
                content = convert(model, numbers)
            except Exception as error:  # the converter has no int8 kernel of this op
                sys.stdout.write(f"{name} {numbers}: {str(error).splitlines()[0][:100]}\n")
                continue
            (folder / f"{name}.{numbers}.tflite").write_bytes(content)


if __name__ == "__main__":
    main()
