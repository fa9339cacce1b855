"""Batches for a training: shuffled and augmented, with a teacher's answers beside the labels.

Only the seed and the number of an epoch decide its order and its augmentation. An interrupted
training therefore continues exactly as it would have without the interruption.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from converters.data.dataset import Samples
from converters.data.fields import to_keras_inputs
from converters.data.task import SEGMENTATION, Task
from converters.errors import ConversionError
from converters.training.parallel import DeviceShare, distribute_dataset, share_batches
from converters.training.teacher import Teacher

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class BatchSettings:
    """Size, order and augmentation of batches."""

    size: int = 64
    """Number of samples in a batch."""
    seed: int = 0
    """Seed of the order of the samples and of their augmentation."""
    flip: bool = False
    """Whether a random half of the images is mirrored left to right."""
    shift: int = 0
    """Largest number of pixels by which images are moved in each direction; 0 fills the border."""


def batches(
    data: Samples,
    settings: BatchSettings,
    epochs: range,
    teacher: Teacher | None,
    model: Any,
) -> Any:
    """Make a `tf.data.Dataset` of pairs: inputs, and `y_true` of `Loss`.

    Args:
        data: Samples to learn from.
        settings: Size, order and augmentation of the batches.
        epochs: Numbers of the epochs.
        teacher: Teacher to learn from in addition to the labels.
        model: tf-keras model whose inputs and outputs the batches have to fit.

    Returns:
        Dataset of float32 tensors: inputs (batch, *input shape) and targets (`Loss` states their
        shape). For several inputs or outputs the pair holds tuples of tensors.

    Raises:
        ConversionError: Pictures would be moved, and their masks not: the recipe must not augment.
    """
    if data.task.kind == SEGMENTATION and (settings.flip or settings.shift):
        raise ConversionError(
            "augment moves pictures, and not the masks that belong to them",
            'Write `augment = "none"`, or move both in your own data.',
        )
    takes = [tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs]
    tasks = list(data.task.parts.values()) or [data.task]
    learns = [
        tf.TensorSpec((None, *_target_shape(task, tuple(tensor.shape[1:]), teacher)), tf.float32)
        for task, tensor in zip(tasks, model.outputs, strict=True)
    ]
    signature = tuple(tuple(tensor) if len(tensor) > 1 else tensor[0] for tensor in (takes, learns))

    def of_share(share: DeviceShare) -> Any:
        return tf.data.Dataset.from_generator(
            lambda: _shuffled_batches(data, settings, epochs, teacher, share),
            output_signature=signature,
        ).prefetch(2)

    return distribute_dataset(of_share, model.distribute_strategy)


def _shuffled_batches(
    data: Samples,
    settings: BatchSettings,
    epochs: range,
    teacher: Teacher | None,
    share: DeviceShare,
) -> Iterator[tuple[Any, Any]]:
    for epoch in epochs:
        random = np.random.default_rng((settings.seed, epoch))
        order = random.permutation(len(data))
        if share.devices > 1:  # Each share has random numbers of its own.
            random = np.random.default_rng((settings.seed, epoch, share.first))
        for rows in share_batches(order, settings.size, share):
            batch: Array = augment(data.batch(rows), settings, random)
            learned = _batch_targets(data, rows, batch, teacher)
            yield tuple(to_keras_inputs(batch)) if batch.dtype.names else batch, learned


def _target_shape(task: Task, outputs: tuple[int, ...], teacher: Teacher | None) -> tuple[int, ...]:
    """Shape of the target of one sample, for one output."""
    if not task.is_classification:
        return outputs if teacher is None else (2, *outputs)
    classes = max(2, outputs[-1])
    columns = 1 + classes * (task.soft_labels + (teacher is not None))
    if teacher is not None and teacher.features is not None:
        columns += teacher.features.columns
    return (columns,)


def _batch_targets(data: Samples, rows: Array, batch: Array, teacher: Teacher | None) -> Any:
    if not data.task.parts:
        return _targets(data, rows, batch, teacher)
    # The teacher predicts once, not once for each output.
    answering = None if teacher is None else teacher.with_answers(batch)
    parts = data.subset(rows).by_output()
    return tuple(
        _targets(part, np.arange(len(rows)), batch, answering and answering.for_output(name))
        for name, part in parts.items()
    )


def _targets(data: Samples, rows: Array, batch: Array, teacher: Teacher | None) -> Array:
    if not data.task.is_classification:
        # The target of a reconstruction is its input: the augmented batch.
        right: Array = batch if data.targets is None else data.targets[rows]
        if teacher is None:
            return right
        return np.stack([right, np.asarray(teacher.predict(batch), np.float32)], axis=1)
    target: Array = data.labels[rows][:, None].astype(np.float32)
    if data.shares is not None and data.task.soft_labels:
        target = np.concatenate([target, data.shares[rows]], axis=1)
    if teacher is not None:
        target = np.concatenate([target, teacher.log_probabilities(batch)], axis=1)
        if teacher.features is not None:
            target = np.concatenate([target, teacher.features.predict(batch)], axis=1)
    return target


def augment(batch: Array, settings: BatchSettings, random: np.random.Generator) -> Array:
    """Mirror and move each image at random.

    Args:
        batch: Images, float32, shape (n, height, width, channels). Another shape is no image.
        settings: `flip` and `shift`.
        random: Source of random numbers.

    Returns:
        Array of the shape and dtype of `batch`; `batch` itself if it holds no images.
    """
    if batch.ndim != 4:
        return batch
    if settings.flip:
        is_mirrored = random.random(len(batch)) < 0.5
        batch = np.where(is_mirrored[:, None, None, None], batch[:, :, ::-1], batch)
    if settings.shift:
        reach, (height, width) = settings.shift, batch.shape[1:3]
        padded = np.pad(batch, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
        tops, lefts = random.integers(0, 2 * reach + 1, (2, len(batch)))
        rows = tops[:, None, None] + np.arange(height)[None, :, None]
        columns = lefts[:, None, None] + np.arange(width)[None, None, :]
        batch = padded[np.arange(len(batch))[:, None, None], rows, columns]
    return batch
