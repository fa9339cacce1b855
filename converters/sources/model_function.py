"""A model as one graph of TensorFlow: of a batch of one, and to be asked for answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.fields import as_floats, from_keras_outputs, to_keras_inputs
from converters.sources.inputs_outputs import End, field_names

Array = npt.NDArray[Any]


def batch_one_function(
    call: Callable[[Any], Any], inputs: Sequence[End], outputs: Sequence[End]
) -> Any:
    """A model as one graph of a batch of one, from which every .tflite is made.

    Args:
        call: Takes a tensor, of several inputs a list of them, and returns the same of outputs.
        inputs: In the order in which it takes them.
        outputs: In the order in which it gives them.
    """
    import tensorflow as tf

    names = field_names(outputs)
    specs = [tf.TensorSpec((1, *end.shape), tf.float32, name=end.name) for end in inputs]

    def named(*taken: Any) -> Any:
        answers = call(list(taken) if len(taken) > 1 else taken[0])
        if not names:
            return tf.nest.flatten(answers)[0] if isinstance(answers, (list, dict)) else answers
        return dict(zip(names, tf.nest.flatten(answers), strict=True))

    # An argument's name becomes part of the .tflite, and so do those of a dict.
    return tf.function(named).get_concrete_function(*specs)


def predictor_of(
    call: Callable[[Any], Any],
    inputs: Sequence[End],
    outputs: Sequence[End],
    free_batch: bool,
) -> Callable[[Array], Array]:
    """What asks a model: a batch, shape (n, ...) or fields of it, to answers of the same form.

    Args:
        call: As for `batch_one_function`.
        inputs: In the order in which it takes them.
        outputs: In the order in which it gives them.
        free_batch: Whether it takes any batch, rather than one sample at a time.
    """
    import tensorflow as tf

    size = None if free_batch else 1
    names = field_names(outputs)
    specs = [tf.TensorSpec((size, *end.shape), tf.float32) for end in inputs]
    signature = [specs] if len(inputs) > 1 else specs
    graph = tf.function(lambda x: tf.nest.flatten(call(x)), input_signature=signature)

    def ask(batch: Array) -> Array:
        taken = to_keras_inputs(as_floats(batch), field_names(inputs))
        tensors = [tf.constant(one) for one in (taken if len(inputs) > 1 else [taken])]
        answers = graph(tensors if len(inputs) > 1 else tensors[0])
        return from_keras_outputs(answers if names else answers[0], names)

    def predict(batch: Array) -> Array:
        if free_batch:
            return ask(batch)
        return np.concatenate([ask(batch[row : row + 1]) for row in range(len(batch))])

    return predict
