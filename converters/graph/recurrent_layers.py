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


class _InOrder:
    """A layer that goes backward and gives its states in the order of its input."""

    def call(self, *args: Any, **settings: Any) -> Any:
        """Compute the states, the last step first, and turn them round."""
        states = super().call(*args, **settings)  # type: ignore[misc]
        return tf.reverse(states, axis=[1])


@tf_keras.utils.register_keras_serializable(package="kedge")
class BackwardLSTM(_InOrder, tf_keras.layers.LSTM):  # type: ignore[misc]
    """LSTM from the last step to the first, (steps, inputs) to (steps, units)."""


@tf_keras.utils.register_keras_serializable(package="kedge")
class BackwardGRU(_InOrder, tf_keras.layers.GRU):  # type: ignore[misc]
    """GRU from the last step to the first, (steps, inputs) to (steps, units)."""


@tf_keras.utils.register_keras_serializable(package="kedge")
class BackwardRNN(_InOrder, tf_keras.layers.SimpleRNN):  # type: ignore[misc]
    """Simple recurrent layer from the last step to the first, (steps, inputs) to (steps, units)."""


#: Op to the layer, and to the layer that goes backward and gives every state.
_LAYERS = {
    LSTM: (tf_keras.layers.LSTM, BackwardLSTM),
    GRU: (tf_keras.layers.GRU, BackwardGRU),
    RNN: (tf_keras.layers.SimpleRNN, BackwardRNN),
}
_FUNCTIONS = {"hard_sigmoid_5": "hard_sigmoid", "hard_sigmoid": hard_sigmoid_of_relu6}


def recurrent_layer(node: Node, weights: Weights) -> Any:
    """Make the layer of a recurrent node.

    Args:
        node: The node.
        weights: Its `kernel`, `recurrent` and `bias`.
    """
    plain = node.attributes
    sequences, backward = bool(plain["sequences"]), bool(plain["backward"])
    functions = {"activation": plain["cell_function"]}
    if node.op != RNN:
        functions["recurrent_activation"] = plain["gate_function"]
    if node.op == GRU:
        functions["reset_after"] = plain["reset_after"]
    return _LAYERS[node.op][sequences and backward](
        len(weights["recurrent"]),
        return_sequences=sequences,
        go_backwards=backward,
        name=node.name,
        **{name: _FUNCTIONS.get(value, value) for name, value in functions.items()},
    )
