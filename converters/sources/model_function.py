"""A model as one graph of TensorFlow: of a batch of one, and of any batch, to get answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.fields import from_keras_outputs, to_input_dtypes, to_keras_inputs
from converters.deadline import LONGEST_SAMPLE_S, Deadline, endless_sample
from converters.errors import ConversionError
from converters.sources.inputs_outputs import ModelTensor, field_names, input_dtypes, noise_for

Array = npt.NDArray[Any]

#: A sample of a batch may take so many times as long as the fastest one before.
_SLOWNESS = 5.0
#: Beginnings of the names of ops that change a variable.
_CHANGES = ("Assign", "ResourceScatter")


def batch_one_function(
    call: Callable[[Any], Any], inputs: Sequence[ModelTensor], outputs: Sequence[ModelTensor]
) -> Any:
    """Make a concrete function of a batch of one of a model; every .tflite is made of one.

    Args:
        call: Function of a tensor, of several inputs of a list of them, that returns the outputs in
            the same form.
        inputs: Inputs in the order in which `call` takes them.
        outputs: Outputs in the order in which `call` returns them.
    """
    import tensorflow as tf

    names = field_names(outputs)
    specs = [tf.TensorSpec((1, *tensor.shape), tensor.dtype, name=tensor.name) for tensor in inputs]

    def call_by_names(*tensors: Any) -> Any:
        answers = call(list(tensors) if len(tensors) > 1 else tensors[0])
        if not names:
            return tf.nest.flatten(answers)[0] if isinstance(answers, (list, dict)) else answers
        return dict(zip(names, tf.nest.flatten(answers), strict=True))

    # An argument's name becomes part of the .tflite, and so do those of a dict.
    return tf.function(call_by_names).get_concrete_function(*specs)


def predictor_of(
    path: Path,
    call: Callable[[Any], Any],
    inputs: Sequence[ModelTensor],
    outputs: Sequence[ModelTensor],
    free_batch: bool,
) -> Callable[[Array], Array]:
    """Make a function of a model's answers to a batch.

    Args:
        path: File or folder of the model, for the message past a deadline: its loops may not end.
        call: Function of a tensor, of several inputs of a list of them, that returns the outputs in
            the same form.
        inputs: Inputs in the order in which `call` takes them.
        outputs: Outputs in the order in which `call` returns them.
        free_batch: Whether it takes any batch, rather than one sample at a time.

    Returns:
        A function of a batch, shape (n, *shape of the input), to float32 answers, shape (n, *shape
        of the output); with a field for each of several inputs or outputs.
    """
    import tensorflow as tf

    size = None if free_batch else 1
    names = field_names(outputs)
    specs = [tf.TensorSpec((size, *tensor.shape), tensor.dtype) for tensor in inputs]
    dtypes = input_dtypes(inputs)
    signature = [specs] if len(inputs) > 1 else specs
    graph = tf.function(lambda x: tf.nest.flatten(call(x)), input_signature=signature)
    pace = _Pace(path)

    def ask(batch: Array) -> Array:
        arrays = to_keras_inputs(to_input_dtypes(batch, dtypes), field_names(inputs))
        tensors = [tf.constant(array) for array in (arrays if len(inputs) > 1 else [arrays])]
        try:
            with pace.watch(len(batch)):
                answers = graph(tensors if len(inputs) > 1 else tensors[0])
        except tf.errors.InvalidArgumentError as error:  # a word that the vocabulary does not have
            raise ConversionError(
                f"the model cannot compute a sample: {_reason(error)}",
                "Give samples that the model can take; numbers of words, users or items must be "
                "below the size of its Embedding.",
            ) from error
        return from_keras_outputs(answers if names else answers[0], names)

    states = _states_of(graph.get_concrete_function(), lambda: ask(noise_for(inputs, 1)))

    def predict(batch: Array) -> Array:
        if free_batch and not states:
            return ask(batch)
        return np.concatenate([ask_one(batch[row : row + 1]) for row in range(len(batch))])

    def ask_one(sample: Array) -> Array:
        answer = ask(sample)
        for variable, beginning in states:  # also for the file, which begins with their values
            variable.assign(beginning)
        return answer

    return predict


class _Pace:
    """Time that a model takes for a sample, and the deadline of a batch that follows from it."""

    def __init__(self, path: Path) -> None:
        self._path, self._fastest_s = path, float("inf")

    @contextmanager
    def watch(self, samples: int) -> Iterator[None]:
        """End the process where a batch takes far longer than its samples should."""
        seconds = LONGEST_SAMPLE_S
        if self._fastest_s < seconds:
            seconds += _SLOWNESS * self._fastest_s * samples
        start = time.monotonic()
        with Deadline(endless_sample(str(self._path), seconds)) as deadline:
            deadline.set(seconds)
            yield
        self._fastest_s = min(self._fastest_s, (time.monotonic() - start) / max(1, samples))


def _states_of(concrete: Any, use: Callable[[], Any]) -> list[tuple[Any, Array]]:
    """Return the variables that a model changes as it computes, and their values at the beginning.

    A recurrent layer with `stateful=True` makes such a model.

    Args:
        concrete: Concrete function of the model.
        use: Function that computes the model once.
    """
    definition = concrete.graph.as_graph_def()
    functions = [definition.node, *(function.node_def for function in definition.library.function)]
    if not any(node.op.startswith(_CHANGES) for nodes in functions for node in nodes):
        return []
    before = [(variable, variable.numpy()) for variable in concrete.variables]
    use()
    states = [(v, value) for v, value in before if not np.array_equal(v.numpy(), value)]
    for variable, value in states:
        variable.assign(value)
    return states


def _reason(error: Exception) -> str:
    """First line of TensorFlow's message that says what is wrong, without its graph's nodes."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    useful = next((line for line in lines if " = " in line or "not in" in line), lines[0])
    return useful.partition(" [[")[0]
