"""Moving average of the weights: a model between those of the last steps, with less noise.

The average of weights along a training generalizes better than its last weights (Polyak and
Juditsky, 1992; Izmailov et al., "Averaging Weights Leads to Wider Optima and Better
Generalization", 2018). Everything that training moves is averaged: trainable weights, the moving
averages of normalizations, and the ranges of fake quantization.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

Arrays = list[npt.NDArray[Any]]

#: Number of steps between two updates: reading all weights takes about as long as a step does.
_EVERY = 10


class WeightAverage(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Moving average of the weights of the model that is trained."""

    def __init__(self, decay: float) -> None:
        """Begin without any step.

        Args:
            decay: Share of the average that stays in a step, 0-1. In the first steps it is smaller,
                so that the weights of the beginning are forgotten.
        """
        super().__init__()
        self._decay = decay
        self._steps = self._pending = 0
        self._weights: Arrays = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Count the step, and update the average after a few of them."""
        self._steps += 1
        self._pending += 1
        if self._pending == _EVERY:
            self._update()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Update the average with the last steps of the epoch."""
        if self._pending:
            self._update()

    def _update(self) -> None:
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps)) ** self._pending
        self._pending = 0
        now = self.model.get_weights()
        self._weights = [
            _mean(before, weights, decay)
            for before, weights in zip(self._weights or now, now, strict=True)
        ]

    @contextmanager
    def apply_briefly(self, model: Any) -> Iterator[None]:
        """Context in which a model has the average as its weights."""
        weights = model.get_weights()
        self.keep(model)
        yield
        model.set_weights(weights)

    def keep(self, model: Any) -> None:
        """Give a model the average as its weights."""
        if self._weights:
            model.set_weights(self._weights)

    def restart(self, weights: Arrays) -> None:
        """Go on from these weights, one array of any shape each."""
        self._weights = weights

    def state(self) -> tuple[int, Arrays]:
        """State for `restore`: number of steps, and the average, one array of any shape each."""
        return self._steps, self._weights

    def restore(self, steps: int, weights: Arrays) -> None:
        """Continue from a `state`: number of steps, and weights, one array of any shape each."""
        self._steps, self._weights = steps, weights


def _mean(before: npt.NDArray[Any], weights: npt.NDArray[Any], decay: float) -> npt.NDArray[Any]:
    """Weighted mean; counters and other whole numbers are taken as they are."""
    if not np.issubdtype(weights.dtype, np.floating):
        return weights
    mean: npt.NDArray[Any] = before + weights.dtype.type(1 - decay) * (weights - before)
    return mean
