"""Ops of the graph that tf-keras has no layer for, as functions of TensorFlow on tensors.

tf-keras keeps such a call as a layer of its own, which a saved model names by TensorFlow's symbol.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from converters.graph.node import Node

TensorFunction = Callable[..., Any]


def _add_constant(node: Node, x: Any) -> Any:
    values = np.reshape(np.asarray(node.attributes["values"], np.float32), node.attributes["shape"])
    return x + tf.constant(values)


def _pad(node: Node, x: Any) -> Any:
    widths = [[0, 0], *map(list, node.attributes["padding"]), [0, 0]]
    if node.op == "mirror_pad":
        return tf.pad(x, widths, mode=node.attributes["mode"].upper())
    return tf.pad(x, widths, constant_values=node.attributes["value"])


def _mean(node: Node, x: Any) -> Any:
    axes = list(node.attributes["axes"])
    return tf.reduce_mean(x, axis=axes, keepdims=node.attributes["keepdims"])


#: Op to the function of a node and its inputs.
TENSOR_FUNCTIONS: dict[str, TensorFunction] = {
    "slice": lambda node, x: x[tuple(slice(*part) for part in node.attributes["slices"])],
    "matmul": lambda node, x, y: tf.matmul(x, y, transpose_b=node.attributes["transpose_b"]),
    "add_constant": _add_constant,
    "mirror_pad": _pad,
    "constant_pad": _pad,
    "mean": _mean,
}
