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
from converters.data.task import Task
from converters.recipe.step import NO_MIX
from converters.training.mixing import Mixing, draw_mixing
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
    mix: str = NO_MIX
    """Way of mixing each sample with another one (`TrainingStep.mix`). The task of the samples must
    then be a `mixed_task`."""
    mix_alpha: float = 1.0
    """Parameter of the distribution of the shares (`TrainingStep.mix_alpha`)."""


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
    """
    takes = [tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs]
    tasks = list(data.task.parts.values()) or [data.task]
    learns = [
        tf.TensorSpec((None, *_target_shape(task, tuple(tensor.shape[1:]), teacher)), tf.float32)
        for task, tensor in zip(tasks, model.outputs, strict=True)
    ]
    signature = tuple(tuple(tensor) if len(tensor) > 1 else tensor[0] for tensor in (takes, learns))

    classes = tuple(max(2, tensor.shape[-1]) for tensor in model.outputs)

    def of_share(share: DeviceShare) -> Any:
        return tf.data.Dataset.from_generator(
            lambda: _shuffled_batches(data, settings, epochs, _Answers(teacher, classes), share),
            output_signature=signature,
        ).prefetch(2)

    return distribute_dataset(of_share, model.distribute_strategy)


def _shuffled_batches(
    data: Samples,
    settings: BatchSettings,
    epochs: range,
    answers: _Answers,
    share: DeviceShare,
) -> Iterator[tuple[Any, Any]]:
    for epoch in epochs:
        random = np.random.default_rng((settings.seed, epoch))
        order = random.permutation(len(data))
        if share.devices > 1:  # Each share has random numbers of its own.
            random = np.random.default_rng((settings.seed, epoch, share.first))
        for rows in share_batches(order, settings.size, share):
            batch: Array = augment(data.batch(rows), settings, random)
            mixing = None
            if settings.mix != NO_MIX:
                mixing = draw_mixing(settings.mix, settings.mix_alpha, batch.shape, random)
                batch = mixing.mix_inputs(batch)
            targets = answers.targets(data, rows, batch, mixing)
            yield tuple(to_keras_inputs(batch)) if batch.dtype.names else batch, targets


def _target_shape(task: Task, outputs: tuple[int, ...], teacher: Teacher | None) -> tuple[int, ...]:
    """Shape of the target of one sample, for one output."""
    if not task.is_classification:
        return outputs if teacher is None else (2, *outputs)
    classes = max(2, outputs[-1])
    columns = 1 + classes * (task.soft_labels + (teacher is not None))
    if teacher is not None and teacher.features is not None:
        columns += teacher.features.columns
    return (columns,)


@dataclass(frozen=True)
class _Answers:
    """Right answers and a teacher's answers to the samples of a batch."""

    teacher: Teacher | None
    """Teacher to learn from in addition to the labels."""
    classes: tuple[int, ...]
    """Number of classes of each output that is a classification."""

    def targets(self, data: Samples, rows: Array, batch: Array, mixing: Mixing | None) -> Any:
        """Targets of a batch, which may be mixed; for several outputs a tuple of them."""
        teacher = self.teacher
        if not data.task.parts:
            right = _right_answers(data, rows, batch, self.classes[0], mixing)
            return _with_teacher(right, batch, teacher, data.task)
        # The teacher predicts once, not once for each output.
        answering = None if teacher is None else teacher.with_answers(batch)
        parts = data.subset(rows).by_output()
        all_rows = np.arange(len(rows))
        return tuple(
            _with_teacher(
                _right_answers(part, all_rows, batch, classes, mixing),
                batch,
                answering and answering.for_output(name),
                part.task,
            )
            for (name, part), classes in zip(parts.items(), self.classes, strict=True)
        )


def _right_answers(
    data: Samples, rows: Array, batch: Array, classes: int, mixing: Mixing | None
) -> Array:
    """Right answers; for a classification (n, 1 + classes): the label, and shares if it is soft."""
    if not data.task.is_classification:
        if data.targets is None:
            return batch  # The target of a reconstruction is its input: the augmented batch.
        right: Array = data.targets[rows]
        return right if mixing is None else mixing.mix_answers(right)
    labels = data.labels[rows]
    if not data.task.soft_labels:
        return labels[:, None].astype(np.float32)
    if data.shares is None:
        shares = (labels[:, None] == np.arange(classes)).astype(np.float32)
    else:
        shares = data.shares[rows]
    if mixing is not None:
        shares = mixing.mix_answers(shares)
        labels = shares.argmax(axis=1)
    return np.concatenate([labels[:, None].astype(np.float32), shares], axis=1)


def _with_teacher(right: Array, batch: Array, teacher: Teacher | None, task: Task) -> Array:
    """Right answers, and beside them those of the teacher, if there is one."""
    if teacher is None:
        return right
    if not task.is_classification:
        return np.stack([right, np.asarray(teacher.predict(batch), np.float32)], axis=1)
    target: Array = np.concatenate([right, teacher.log_probabilities(batch)], axis=1)
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
