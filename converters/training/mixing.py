"""Mixing of the samples of a batch: new samples between those that the data has. NumPy only.

- Mixup (Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018): a weighted mean of two
  samples.
- CutMix (Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers", 2019): a
  rectangle of a picture is replaced by that of another one.

The right answers are mixed by the same shares. A teacher answers the mixed batch itself, as in
Beyer et al., "Knowledge distillation: A good teacher is patient and consistent" (2022).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.fields import join_fields
from converters.data.task import Task
from converters.recipe.step import MIXUP, MIXUP_CUTMIX

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Mixing:
    """Choice of what each sample of a batch is mixed with."""

    partners: npt.NDArray[np.int64]
    """Row of the other sample, shape (n,)."""
    weights: Floats
    """Weight of the sample itself, 0-1: shape (n,), or shape (n, height, width) for a weight of
    each pixel."""

    @property
    def shares(self) -> Floats:
        """Share of the sample itself in the right answer, 0-1, shape (n,)."""
        shares: Floats = self.weights.reshape(len(self.weights), -1).mean(axis=1)
        return shares

    def mix_inputs(self, batch: Array) -> Array:
        """Mix the inputs of a batch.

        Args:
            batch: Real numbers, shape (n, ...); for several inputs shape (n,), a field for each.

        Returns:
            float32, the shape of `batch`.
        """
        if batch.dtype.names is None:
            return self._mean(batch, self.weights)
        return join_fields(
            {name: self._mean(batch[name], self.weights) for name in batch.dtype.names}
        )

    def mix_answers(self, answers: Array) -> Array:
        """Mix right answers, or shares of classes.

        Args:
            answers: Numbers, shape (n, ...).

        Returns:
            float32, the shape of `answers`.
        """
        return self._mean(answers, self.shares)

    def _mean(self, array: Array, weights: Floats) -> Array:
        weights = weights.reshape(weights.shape + (1,) * (array.ndim - weights.ndim))
        own, other = array.astype(np.float32), array[self.partners].astype(np.float32)
        mean: Array = weights * own + (1 - weights) * other
        return mean


def draw_mixing(
    mix: str, alpha: float, shape: tuple[int, ...], random: np.random.Generator
) -> Mixing:
    """Draw partners and weights at random.

    Args:
        mix: A value of `TrainingStep.mix`; `MIXUP_CUTMIX` takes one of the two ways for each
            sample at random.
        alpha: Both parameters of the beta distribution of the shares; 1 for all shares alike, less
            for shares near 0 and 1.
        shape: Shape of the batch: (n, ...); of pictures, whose rectangles are exchanged,
            (n, height, width, channels).
        random: Source of random numbers.
    """
    count = shape[0]
    partners = random.permutation(count)
    shares = random.beta(alpha, alpha, count).astype(np.float32)
    if mix == MIXUP:
        return Mixing(partners, shares)
    height, width = shape[1:3]
    pixels = _rectangles(shares, height, width, random)
    if mix == MIXUP_CUTMIX:
        is_mean = random.random(count) < 0.5
        pixels = np.where(is_mean[:, None, None], shares[:, None, None], pixels)
    return Mixing(partners, pixels)


def _rectangles(
    shares: Floats, height: int, width: int, random: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Weights of pixels: 0 in a rectangle of about 1 - share of the area, else 1."""
    inside = None
    for size, axis in ((height, 1), (width, 2)):
        half = size * np.sqrt(1 - shares) / 2
        center = random.random(len(shares)) * size
        low, high = np.rint(center - half)[:, None], np.rint(center + half)[:, None]
        places = np.arange(size)[None, :]
        is_between = np.expand_dims((places >= low) & (places < high), 3 - axis)
        inside = is_between if inside is None else inside & is_between
    assert inside is not None
    return 1 - inside.astype(np.float32)


def mixed_task(task: Task) -> Task:
    """Task of mixed samples: a classification has shares of several classes as labels."""
    parts = {name: mixed_task(part) for name, part in task.parts.items()}
    return replace(task, soft_labels=task.is_classification, parts=parts)
