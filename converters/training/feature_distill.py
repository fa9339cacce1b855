"""Distillation from the activations of layers, in addition to the answers.

Pairs of layers, one of the student and one of the teacher, are compared wherever both are about to
lose resolution. There are two ways:

- Attention maps (Zagoruyko and Komodakis, "Paying More Attention to Attention", 2017): the sum of
  the squared activations over the channels, divided by its L2 norm. The loss is the squared
  distance of two maps, 0-2. The layers may differ in their number of channels.
- Regressors (Romero et al., "FitNets", 2015): a 1x1 convolution, trained together with the student,
  maps the student's channels to the teacher's. The loss is the squared error as a share of the
  teacher's squares.

During training only, the teacher's activations stand beside the labels and the student's beside its
answers. The model itself gets no additional layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from converters.data.fields import to_keras_inputs
from converters.errors import ConversionError
from converters.graph.build import build_model
from converters.sources.inputs_outputs import field_names
from converters.sources.loaded_model import LoadedModel

ATTENTION = "attention"
REGRESSOR = "regressor"

_SMALLEST = 1e-12


@dataclass(frozen=True)
class LayerPair:
    """Two layers whose activations should agree."""

    student: str
    """Name of the student's layer."""
    teacher: str
    """Name of the teacher's layer."""
    height: int
    """Height of the activations of both."""
    width: int
    """Width of the activations of both."""
    channels: int
    """Number of channels of the teacher's layer."""

    def columns(self, kind: str) -> int:
        """Number of values per sample by which the layers are compared."""
        return self.height * self.width * (self.channels if kind == REGRESSOR else 1)


@dataclass(frozen=True)
class Features:
    """Layers of a teacher that a student learns from."""

    kind: str
    """`ATTENTION` or `REGRESSOR`."""
    weight: float
    """Factor of the loss of the layers."""
    pairs: tuple[LayerPair, ...]
    """Pairs of layers, at least one."""
    ask: Callable[[Any], Sequence[Any]]
    """Function of a batch to the teacher's activations: an array (n, height, width, channels) a
    pair."""
    names: tuple[str, ...] = ()
    """Names of the teacher's inputs, where it has several."""

    @property
    def columns(self) -> int:
        """Number of values per sample, over all pairs."""
        return sum(pair.columns(self.kind) for pair in self.pairs)

    def predict(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Activations or attention maps of the teacher's layers.

        Args:
            batch: Inputs, float32, shape (n, ...); for several inputs shape (n,), a field for each.

        Returns:
            float32, shape (n, columns): the layers of all pairs, flat, in the order of `pairs`.
        """
        inputs = to_keras_inputs(batch, self.names)
        activations = self.ask(
            [tf.constant(array) for array in inputs] if batch.dtype.names else tf.constant(inputs)
        )
        if self.kind == ATTENTION:
            activations = [attention(array) for array in activations]
        return np.concatenate(
            [np.asarray(array).reshape(len(batch), -1) for array in activations], axis=1
        )

    def extend_model(self, model: Any) -> Any:
        """Extend a tf-keras model: in training, its layers' values stand beside its answers."""
        layers = {_name(layer): layer for layer in model.layers}
        activations = [_output(layers[pair.student]) for pair in self.pairs]
        if self.kind == ATTENTION:
            features = [_Attention(name=f"attention_{n}")(one) for n, one in enumerate(activations)]
        else:
            features = [
                tf_keras.layers.Flatten(name=f"regressed_{n}")(
                    tf_keras.layers.Conv2D(pair.channels, 1, name=f"regressor_{n}")(one)
                )
                for n, (pair, one) in enumerate(zip(self.pairs, activations, strict=True))
            ]
        return tf_keras.Model(model.inputs, _Concatenate(name="beside")([model.output, *features]))

    def loss(self, right: Any, answers: Any) -> Any:
        """Weighted loss of each sample, shape (batch,).

        Args:
            right: Values of the teacher's layers, shape (batch, columns).
            answers: Values of the student's layers, shape (batch, columns).
        """
        distances, start = [], 0
        for pair in self.pairs:
            columns = slice(start, start + pair.columns(self.kind))
            start = columns.stop
            right_part = right[:, columns]
            distance = tf.reduce_sum(tf.square(answers[:, columns] - right_part), axis=1)
            if self.kind == REGRESSOR:
                distance /= tf.reduce_sum(tf.square(right_part), axis=1) + _SMALLEST
            distances.append(distance)
        return self.weight * tf.add_n(distances) / len(distances)


class FeatureLoss(tf_keras.losses.Loss):  # type: ignore[misc]
    """Sum of the loss of the answers and the loss of the layers."""

    def __init__(self, answer_loss: Any, features: Features) -> None:
        super().__init__(name="loss")
        self._answer_loss, self._features = answer_loss, features

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each sample, shape (batch,)."""
        columns = self._features.columns
        answer_loss = self._answer_loss.call(y_true[:, :-columns], y_pred[:, :-columns])
        return answer_loss + self._features.loss(y_true[:, -columns:], y_pred[:, -columns:])

    def accuracy(self, y_true: Any, y_pred: Any) -> Any:
        """1 for each sample that is classified rightly, else 0: float32, shape (batch,)."""
        columns = self._features.columns
        return self._answer_loss.accuracy(y_true[:, :-columns], y_pred[:, :-columns])


def pair_features(kind: str, weight: float, student: Any, teacher: LoadedModel) -> Features:
    """Pair the layers of two models.

    Args:
        kind: `ATTENTION` or `REGRESSOR`.
        weight: Factor of the loss of the layers (`Features.weight`).
        student: tf-keras model; its layers may be wrapped.
        teacher: Model to learn from.

    Raises:
        ConversionError: The layers of the teacher cannot be read, or no two layers have activations
            of the same height and width.
    """
    if not teacher.has_graph:
        raise ConversionError(
            f"{teacher.path}: is a SavedModel without Keras layers, so no layer of it can teach",
            'Leave `features` out, or write `features = "none"`',
        )
    model = build_model(teacher.graph)
    pairs = pair_layers(_shapes(student), _shapes(model))
    if not pairs:
        raise ConversionError(
            f"{teacher.path}: no layer of it has the height and width of one of the model's",
            'Leave `features` out, or write `features = "none"`',
        )
    outputs = [model.get_layer(pair.teacher).output for pair in pairs]
    activations = tf.function(tf_keras.Model(model.inputs, outputs), autograph=False)
    names = field_names(teacher.inputs)
    return Features(kind, weight, pairs, lambda batch: activations(batch, training=False), names)


Shapes = dict[str, tuple[int, int, int]]


def pair_layers(student: Shapes, teacher: Shapes) -> tuple[LayerPair, ...]:
    """Pair the last layers of each size; layers of the same name first.

    Args:
        student: Name of each of its layers to height, width and channels, in the model's order.
        teacher: Name of each of its layers to height, width and channels, in the model's order.
    """
    pairs = []
    for size in dict.fromkeys(shape[:2] for shape in student.values()):
        ours = [name for name, shape in student.items() if shape[:2] == size]
        theirs = [name for name, shape in teacher.items() if shape[:2] == size]
        both = [name for name in ours if name in theirs]
        if size != (1, 1) and theirs:
            ours_name, theirs_name = (both[-1], both[-1]) if both else (ours[-1], theirs[-1])
            pairs.append(LayerPair(ours_name, theirs_name, *teacher[theirs_name]))
    return tuple(pairs)


def attention(activations: Any) -> Any:
    """Attention maps of activations.

    Args:
        activations: Activations, float32, shape (batch, height, width, channels).

    Returns:
        Maps, float32, shape (batch, height * width), each of length 1.
    """
    squares = tf.reduce_sum(tf.square(activations), axis=-1)  # (batch, height, width)
    return tf.math.l2_normalize(tf.reshape(squares, (tf.shape(squares)[0], -1)), axis=1)


def _shapes(model: Any) -> Shapes:
    shapes = {}
    for layer in model.layers:
        shape = tuple(_output(layer).shape)
        if len(shape) == 4 and not isinstance(layer, tf_keras.layers.InputLayer):
            shapes[_name(layer)] = shape[1:]
    return shapes


def _name(layer: Any) -> str:
    """Name of the layer without its wrapper."""
    return str(getattr(layer, "layer", layer).name)


def _output(layer: Any) -> Any:
    """Output of the layer, or its first one if the layer is used several times."""
    return layer.get_output_at(0)


class _Attention(tf_keras.layers.Layer):  # type: ignore[misc]
    def call(self, inputs: Any) -> Any:
        return attention(inputs)


class _Concatenate(tf_keras.layers.Layer):  # type: ignore[misc]
    """The answers; in training, with the values of the layers beside them."""

    def call(self, inputs: Any, training: Any = None) -> Any:
        return tf.concat(inputs, axis=-1) if training else inputs[0]
