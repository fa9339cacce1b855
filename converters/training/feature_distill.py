"""Distillation by what layers see, not by the answers alone.

Pairs of layers, one of the student and one of the teacher, are compared wherever both are about to
lose resolution. By attention maps (Zagoruyko and Komodakis, "Paying More Attention to Attention",
2017): the sum of the squared activations over the channels, divided by its L2 norm; their squared
distance, 0-2, is the loss, and the channels may differ in number. By regressors (Romero et
al., "FitNets", 2015): a 1x1 convolution that is trained along leads from the student's channels to
the teacher's; what is compared is the squared error as a share of the teacher's squares.

What the teacher's layers say goes along with the labels, and what the student's say with its
answers, while it trains only: the model itself gets no layer more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from converters.data.fields import fed
from converters.errors import ConversionError
from converters.graph.build import build_model
from converters.graph.keras.read import read_graph
from converters.sources.inputs_outputs import field_names
from converters.sources.load import LoadedModel

ATTENTION = "attention"
REGRESSOR = "regressor"

_SMALLEST = 1e-12


@dataclass(frozen=True)
class Pair:
    """Two layers that are to see the same."""

    student: str
    """Name of the student's layer."""
    teacher: str
    """Name of the teacher's."""
    height: int
    """Of both."""
    width: int
    """Of both."""
    channels: int
    """Of the teacher's."""

    def columns(self, kind: str) -> int:
        """Numbers by which they are compared."""
        return self.height * self.width * (self.channels if kind == REGRESSOR else 1)


@dataclass(frozen=True)
class Features:
    """What of a teacher's layers a student learns."""

    kind: str
    """`ATTENTION` or `REGRESSOR`."""
    weight: float
    """What their loss is multiplied with."""
    pairs: tuple[Pair, ...]
    """At least one."""
    ask: Callable[[Any], Sequence[Any]]
    """Batch to the teacher's activations, one array a pair."""
    names: tuple[str, ...] = ()
    """Of the teacher's inputs, where it has several."""

    @property
    def columns(self) -> int:
        """Numbers a sample."""
        return sum(pair.columns(self.kind) for pair in self.pairs)

    def of(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """What the teacher's layers say of a batch: float32, shape (n, columns)."""
        taken = fed(batch, self.names)
        seen = self.ask(
            [tf.constant(one) for one in taken] if batch.dtype.names else tf.constant(taken)
        )
        if self.kind == ATTENTION:
            seen = [attention(one) for one in seen]
        return np.concatenate([np.asarray(one).reshape(len(batch), -1) for one in seen], axis=1)

    def beside(self, model: Any) -> Any:
        """The model with what its own layers say beside its answers, while it trains."""
        layers = {_name(layer): layer for layer in model.layers}
        seen = [_output(layers[pair.student]) for pair in self.pairs]
        if self.kind == ATTENTION:
            said = [_Attention(name=f"attention_{n}")(one) for n, one in enumerate(seen)]
        else:
            said = [
                tf_keras.layers.Flatten(name=f"regressed_{n}")(
                    tf_keras.layers.Conv2D(pair.channels, 1, name=f"regressor_{n}")(one)
                )
                for n, (pair, one) in enumerate(zip(self.pairs, seen, strict=True))
            ]
        return tf_keras.Model(model.inputs, _Beside(name="beside")([model.output, *said]))

    def loss(self, wanted: Any, said: Any) -> Any:
        """Of each sample, shape (batch,); both are (batch, columns)."""
        distances, start = [], 0
        for pair in self.pairs:
            columns = slice(start, start + pair.columns(self.kind))
            start = columns.stop
            right = wanted[:, columns]
            apart = tf.reduce_sum(tf.square(said[:, columns] - right), axis=1)
            if self.kind == REGRESSOR:
                apart /= tf.reduce_sum(tf.square(right), axis=1) + _SMALLEST
            distances.append(apart)
        return self.weight * tf.add_n(distances) / len(distances)


class FeatureLoss(tf_keras.losses.Loss):  # type: ignore[misc]
    """The loss of the answers, and that of the layers."""

    def __init__(self, of_answers: Any, features: Features) -> None:
        super().__init__(name="loss")
        self._of_answers, self._features = of_answers, features

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Of each sample, shape (batch,)."""
        columns = self._features.columns
        of_answers = self._of_answers.call(y_true[:, :-columns], y_pred[:, :-columns])
        return of_answers + self._features.loss(y_true[:, -columns:], y_pred[:, -columns:])

    def accuracy(self, y_true: Any, y_pred: Any) -> Any:
        """Whether each sample was classified rightly, shape (batch,)."""
        columns = self._features.columns
        return self._of_answers.accuracy(y_true[:, :-columns], y_pred[:, :-columns])


def features_of(kind: str, weight: float, student: Any, teacher: LoadedModel) -> Features:
    """Pair the layers of two models.

    Args:
        kind: `ATTENTION` or `REGRESSOR`.
        weight: As in `Features`.
        student: A tf-keras model; layers may be wrapped.
        teacher: Keras model that is asked.

    Raises:
        ConversionError: No two layers see a picture of the same size.
    """
    if teacher.keras_model is None:
        raise ConversionError(
            f"{teacher.path}: is not a Keras model, so its layers cannot teach",
            'leave `features` out, or write `features = "none"`',
        )
    model = build_model(read_graph(teacher.keras_model, str(teacher.path)))
    pairs = paired(_shapes(student), _shapes(model))
    if not pairs:
        raise ConversionError(
            f"{teacher.path}: no layer of it has the height and width of one of the model's",
            'leave `features` out, or write `features = "none"`',
        )
    outputs = [model.get_layer(pair.teacher).output for pair in pairs]
    asked = tf.function(tf_keras.Model(model.inputs, outputs), autograph=False)
    names = field_names(teacher.inputs)
    return Features(kind, weight, pairs, lambda batch: asked(batch, training=False), names)


Shapes = dict[str, tuple[int, int, int]]


def paired(student: Shapes, teacher: Shapes) -> tuple[Pair, ...]:
    """For each size the last layers that have it: of one name if there are such.

    Args:
        student: Name of each layer to height, width and channels, in the order of the model.
        teacher: The same.
    """
    pairs = []
    for size in dict.fromkeys(shape[:2] for shape in student.values()):
        ours = [name for name, shape in student.items() if shape[:2] == size]
        theirs = [name for name, shape in teacher.items() if shape[:2] == size]
        both = [name for name in ours if name in theirs]
        if size != (1, 1) and theirs:
            one, other = (both[-1], both[-1]) if both else (ours[-1], theirs[-1])
            pairs.append(Pair(one, other, *teacher[other]))
    return tuple(pairs)


def attention(seen: Any) -> Any:
    """Attention maps, flat and of length 1: (batch, height * width).

    Args:
        seen: Activations, shape (batch, height, width, channels).
    """
    squares = tf.reduce_sum(tf.square(seen), axis=-1)
    return tf.math.l2_normalize(tf.reshape(squares, (tf.shape(squares)[0], -1)), axis=1)


def _shapes(model: Any) -> Shapes:
    found = {}
    for layer in model.layers:
        shape = tuple(_output(layer).shape)
        if len(shape) == 4 and not isinstance(layer, tf_keras.layers.InputLayer):
            found[_name(layer)] = shape[1:]
    return found


def _name(layer: Any) -> str:
    """What the layer is called without its wrapper."""
    return str(getattr(layer, "layer", layer).name)


def _output(layer: Any) -> Any:
    """Of a layer that is used several times, its first."""
    return layer.get_output_at(0)


class _Attention(tf_keras.layers.Layer):  # type: ignore[misc]
    def call(self, inputs: Any) -> Any:
        return attention(inputs)


class _Beside(tf_keras.layers.Layer):  # type: ignore[misc]
    """The answers; while it trains, with what stands beside them."""

    def call(self, inputs: Any, training: Any = None) -> Any:
        return tf.concat(inputs, axis=-1) if training else inputs[0]
