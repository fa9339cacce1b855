"""What a training is fed: shuffled batches, augmented, with a teacher's answers beside the labels.

Order and augmentation of an epoch follow from the seed and its number alone, so that a training
that was interrupted goes on as it would have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from converters.data.dataset import Samples
from converters.data.fields import fed
from converters.data.task import Task
from converters.training.parallel import Share, dataset_of, rows_of
from converters.training.teacher import Teacher

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class BatchSettings:
    """How samples become batches."""

    size: int = 64
    """Samples a batch."""
    seed: int = 0
    """Decides the order of the samples and their augmentation."""
    flip: bool = False
    """Whether images are mirrored left to right, half of them."""
    shift: int = 0
    """Images are moved by up to so many pixels each way, the rim filled with 0."""


def batches(
    data: Samples,
    settings: BatchSettings,
    epochs: range,
    teacher: Teacher | None,
    model: Any,
) -> Any:
    """A `tf.data.Dataset` of pairs: inputs, and what `Loss` calls `y_true`.

    Args:
        data: What to learn from.
        settings: How.
        epochs: Numbers of the epochs.
        teacher: Whom to learn from besides the labels.
        model: Whose inputs and outputs the batches have to fit; of several they are tuples.
    """
    takes = [tf.TensorSpec((None, *one.shape[1:]), tf.float32) for one in model.inputs]
    tasks = list(data.task.parts.values()) or [data.task]
    learns = [
        tf.TensorSpec((None, *_target_shape(task, tuple(one.shape[1:]), teacher)), tf.float32)
        for task, one in zip(tasks, model.outputs, strict=True)
    ]
    signature = tuple(tuple(one) if len(one) > 1 else one[0] for one in (takes, learns))

    def of_share(share: Share) -> Any:
        return tf.data.Dataset.from_generator(
            lambda: _shuffled(data, settings, epochs, teacher, share), output_signature=signature
        ).prefetch(2)

    return dataset_of(of_share, model.distribute_strategy)


def _shuffled(
    data: Samples,
    settings: BatchSettings,
    epochs: range,
    teacher: Teacher | None,
    share: Share,
) -> Iterator[tuple[Any, Any]]:
    for epoch in epochs:
        random = np.random.default_rng((settings.seed, epoch))
        order = random.permutation(len(data))
        if share.of > 1:  # chance, too, is its own
            random = np.random.default_rng((settings.seed, epoch, share.first))
        for rows in rows_of(order, settings.size, share):
            batch: Array = augmented(data.batch(rows), settings, random)
            learned = _learned(data, rows, batch, teacher)
            yield tuple(fed(batch)) if batch.dtype.names else batch, learned


def _target_shape(task: Task, outputs: tuple[int, ...], teacher: Teacher | None) -> tuple[int, ...]:
    """Of what is learned of one output."""
    if not task.is_classification:
        return outputs if teacher is None else (2, *outputs)
    columns = 1 if teacher is None else 1 + max(2, outputs[-1])
    if teacher is not None and teacher.features is not None:
        columns += teacher.features.columns
    return (columns,)


def _learned(data: Samples, rows: Array, batch: Array, teacher: Teacher | None) -> Any:
    if not data.task.parts:
        return _target(data, rows, batch, teacher)
    # Asked once, not once for each output.
    asked = None if teacher is None else teacher.answering(batch)
    some = data.subset(rows).of_outputs()
    return tuple(
        _target(one, np.arange(len(rows)), batch, asked and asked.of_output(name))
        for name, one in some.items()
    )


def _target(data: Samples, rows: Array, batch: Array, teacher: Teacher | None) -> Array:
    if not data.task.is_classification:
        # What is to be given back is what was given: the augmented batch.
        right: Array = batch if data.targets is None else data.targets[rows]
        if teacher is None:
            return right
        return np.stack([right, np.asarray(teacher.predict(batch), np.float32)], axis=1)
    target: Array = data.labels[rows][:, None].astype(np.float32)
    if teacher is not None:
        target = np.concatenate([target, teacher.log_probabilities(batch)], axis=1)
        if teacher.features is not None:
            target = np.concatenate([target, teacher.features.of(batch)], axis=1)
    return target


def augmented(batch: Array, settings: BatchSettings, random: np.random.Generator) -> Array:
    """Images mirrored and moved at random, each in its own way; what is no image is left alone.

    Args:
        batch: Shape (n, height, width, channels), or any other.
        settings: `flip` and `shift`.
        random: Where chance comes from.
    """
    if batch.ndim != 4:
        return batch
    if settings.flip:
        mirrored = random.random(len(batch)) < 0.5
        batch = np.where(mirrored[:, None, None, None], batch[:, :, ::-1], batch)
    if settings.shift:
        far, (height, width) = settings.shift, batch.shape[1:3]
        padded = np.pad(batch, ((0, 0), (far, far), (far, far), (0, 0)))
        tops, lefts = random.integers(0, 2 * far + 1, (2, len(batch)))
        rows = tops[:, None, None] + np.arange(height)[None, :, None]
        columns = lefts[:, None, None] + np.arange(width)[None, None, :]
        batch = padded[np.arange(len(batch))[:, None, None], rows, columns]
    return batch
