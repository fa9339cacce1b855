"""Layers of tf-keras for the recurrent nodes of a graph."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras

from converters.graph.node import GRU, LSTM, RNN, Node, Weights


def hard_sigmoid_of_relu6(x: Any) -> Any:
    """Hard sigmoid of Keras 3: relu6(x + 3) / 6."""
    return tf.nn.relu6(x + 3.0) / 6.0


# A saved model names it; loading one finds it again.
tf_keras.utils.register_keras_serializable(package="kedge")(hard_sigmoid_of_relu6)


_LAYERS = {
    LSTM: tf_keras.layers.LSTM,
    GRU: tf_keras.layers.GRU,
    RNN: tf_keras.layers.SimpleRNN,
}
_FUNCTIONS = {"hard_sigmoid_5": "hard_sigmoid", "hard_sigmoid": hard_sigmoid_of_relu6}


def recurrent_layer(node: Node, weights: Weights) -> Any:
    """Make the layer of a recurrent node; `in_order` belongs behind it.

    Args:
        node: The node.
        weights: Its `kernel`, `recurrent` and `bias`.
    """
    plain = node.attributes
    functions = {"activation": plain["cell_function"]}
    if node.op != RNN:
        functions["recurrent_activation"] = plain["gate_function"]
    if node.op == GRU:
        functions["reset_after"] = plain["reset_after"]
    return _LAYERS[node.op](
        len(weights["recurrent"]),
        return_sequences=plain["sequences"],
        go_backwards=plain["backward"],
        name=node.name,
        **{name: _FUNCTIONS.get(value, value) for name, value in functions.items()},
    )


def in_order(node: Node, states: Any) -> Any:
    """Bring the states of a node to the order of its input: Keras leaves the last step first."""
    plain = node.attributes
    return tf.reverse(states, axis=[1]) if plain["sequences"] and plain["backward"] else states
