"""State of a training after its last complete epoch: an interruption costs at most one epoch."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

from converters.cache import CacheEntry
from converters.data.array_file import check_array_sizes
from converters.errors import ConversionError
from converters.training.best_epoch import BestEpoch
from converters.training.weight_average import WeightAverage

Arrays = list[npt.NDArray[Any]]

#: Largest share of the time for checkpoints: a model may be large, and its epochs short.
_LARGEST_SHARE = 0.1
#: Bytes of arrays for each byte of their file; it is not compressed.
_MOST_RATIO = 2
_PLAIN = "state.json"
_MODEL, _OPTIMIZER, _BEST = "model.npz", "optimizer.npz", "best.npz"
_AVERAGE = "average.npz"


@dataclass(frozen=True)
class TrainingRecord:
    """The complete part of a training."""

    epochs: list[dict[str, float]]
    """Figures of each complete epoch, such as "loss"; the list grows."""
    trial_losses: dict[float, float]
    """Learning rate to the validation loss after its trial."""

    def learning_rate(self, rates: Sequence[float]) -> float:
        """Learning rate with the lowest loss in its trial; the first of `rates` without trials."""
        return (
            min(self.trial_losses, key=lambda rate: self.trial_losses[rate])
            if self.trial_losses
            else rates[0]
        )


def restore_training(
    entry: CacheEntry, model: Any, best: BestEpoch | None, average: WeightAverage | None = None
) -> TrainingRecord | None:
    """Restore a model to its state after its last complete epoch.

    Args:
        entry: Cache entry of this training, found by the digest of all that decides it.
        model: Compiled tf-keras model; its weights and those of its optimizer change in place.
        best: Judge of its epochs, or None.
        average: Average of its weights, or None.

    Returns:
        The complete part of the training; None if there is no checkpoint that fits.
    """
    state = entry.read(_state)
    if state is None or [w.shape for w in state.weights] != [tuple(w.shape) for w in model.weights]:
        return None
    model.set_weights(state.weights)
    model.optimizer.build(model.trainable_variables)
    shapes = [tuple(variable.shape) for variable in model.optimizer.variables]
    if [array.shape for array in state.optimizer] != shapes:
        return None
    model.optimizer.set_weights(state.optimizer)
    if state.plain["learning_rate"] is not None:
        model.optimizer.learning_rate.assign(state.plain["learning_rate"])
    if best is not None:
        best.restore(state.plain["best"], state.best)
    if average is not None:
        average.restore(state.plain["steps"], state.average)
    return state.record


@dataclass(frozen=True)
class _State:
    """A checkpoint as it was read."""

    plain: dict[str, Any]
    """Plain values."""
    weights: Arrays
    """Weights of the model."""
    optimizer: Arrays
    """Variables of the optimizer."""
    best: Arrays
    """Weights of the best epoch."""
    average: Arrays
    """Average of the weights; empty where there is none."""
    record: TrainingRecord
    """Complete part of the training."""


def _state(parts: Mapping[str, bytes]) -> _State:
    plain = json.loads(parts[_PLAIN])
    trials = {float(rate): float(loss) for rate, loss in plain["tried"].items()}
    epochs = [{str(k): float(v) for k, v in epoch.items()} for epoch in plain["epochs"]]
    rate = plain["learning_rate"]
    best = dict(plain["best"])
    if best and [len(best[name]) for name in ("best", "gained", "counts")] != [2, 2, 3]:
        raise ValueError("its best epoch has another form")
    return _State(
        {
            "best": best,
            "learning_rate": None if rate is None else float(rate),
            "steps": int(plain["steps"]),
        },
        _arrays(parts[_MODEL]),
        _arrays(parts[_OPTIMIZER]),
        _arrays(parts[_BEST]),
        _arrays(parts[_AVERAGE]),
        TrainingRecord(epochs, trials),
    )


def keep_training(
    entry: CacheEntry,
    model: Any,
    best: BestEpoch | None,
    average: WeightAverage | None,
    record: TrainingRecord,
) -> None:
    """Write a checkpoint of a training.

    Args:
        entry: Cache entry of this training.
        model: tf-keras model in training.
        best: Judge of its epochs, or None.
        average: Average of its weights, or None.
        record: The complete part of the training.

    Raises:
        HostDiskError: The disk is full or read-only: the checkpoint is not written.
        ConversionError: The folder cannot be written.
    """
    state, weights = best.state() if best is not None else ({}, [])
    steps, mean = average.state() if average is not None else (0, [])
    rate = model.optimizer.learning_rate  # a plain number if it follows a schedule
    plain = {
        "best": state,
        "epochs": record.epochs,
        "tried": record.trial_losses,
        "learning_rate": float(rate) if hasattr(rate, "assign") else None,
        "steps": steps,
    }
    parts = {
        _PLAIN: json.dumps(plain).encode(),
        _MODEL: _packed(model.get_weights()),
        _OPTIMIZER: _packed([np.asarray(v) for v in model.optimizer.variables]),
        _BEST: _packed(weights),
        _AVERAGE: _packed(mean),
    }
    entry.put(parts)


class CollectEpochs(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Add the figures of each epoch to a record."""

    def __init__(self, record: TrainingRecord) -> None:
        super().__init__()
        self._record = record

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Add the figures of this epoch."""
        self._record.epochs.append({name: float(value) for name, value in (logs or {}).items()})


class KeepEpochs(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Write a checkpoint after each epoch, or as often as its cost allows."""

    def __init__(
        self,
        checkpoint: CacheEntry,
        best: BestEpoch | None,
        average: WeightAverage | None,
        record: TrainingRecord,
    ) -> None:
        super().__init__()
        self._checkpoint, self._best, self._record = checkpoint, best, record
        self._average = average
        self._not_before = 0.0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Write a checkpoint; if the disk is full, the training goes on without checkpoints."""
        started = time.monotonic()
        if started < self._not_before or not np.isfinite(self._record.epochs[-1]["loss"]):
            return
        try:
            keep_training(self._checkpoint, self.model, self._best, self._average, self._record)
        except ConversionError:
            self._not_before = float("inf")
            return
        ended = time.monotonic()
        self._not_before = ended + (ended - started) / _LARGEST_SHARE


def _packed(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{f"{number:05}": array for number, array in enumerate(arrays)})
    return buffer.getvalue()


def _arrays(content: bytes) -> Arrays:
    check_array_sizes(io.BytesIO(content), _MOST_RATIO * len(content))
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return [file[name] for name in sorted(file.files)]
