"""Where a training was after its last finished epoch, so that an interruption costs one at most."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

from converters.cache import CacheEntry
from converters.errors import ConversionError
from converters.training.best_epoch import BestEpoch

Arrays = list[npt.NDArray[Any]]

#: Keeping may take this share of the time at most: a model may be large, and its epochs short.
_LARGEST_SHARE = 0.1
_PLAIN = "state.json"
_MODEL, _OPTIMIZER, _BEST = "model.npz", "optimizer.npz", "best.npz"


@dataclass(frozen=True)
class Done:
    """What of a training is done."""

    epochs: list[dict[str, float]]
    """The figures of each finished epoch, such as "loss"; grows."""
    tried: dict[float, float]
    """Learning rate to the validation loss after its trial."""

    def learning_rate(self, given: Sequence[float]) -> float:
        """That which did best, or the first that was given."""
        return min(self.tried, key=lambda rate: self.tried[rate]) if self.tried else given[0]


def restore_training(entry: CacheEntry, model: Any, best: BestEpoch | None) -> Done | None:
    """Bring a model to where its training was after its last finished epoch.

    Args:
        entry: The place of this training, by the digest of all that decides it.
        model: A compiled tf-keras model; its weights and its optimizer's are changed in place.
        best: The judge of its epochs, or None.

    Returns:
        The finished part of the training; None if there is nothing to go on from.
    """
    parts = entry.get()
    if parts is None:
        return None
    plain = json.loads(parts[_PLAIN])
    weights, optimizer = _arrays(parts[_MODEL]), _arrays(parts[_OPTIMIZER])
    if [w.shape for w in weights] != [tuple(w.shape) for w in model.weights]:
        return None
    model.set_weights(weights)
    model.optimizer.build(model.trainable_variables)
    model.optimizer.set_weights(optimizer)
    if plain["learning_rate"] is not None:
        model.optimizer.learning_rate.assign(plain["learning_rate"])
    if best is not None:
        best.restore(plain["best"], _arrays(parts[_BEST]))
    return Done(plain["epochs"], {float(rate): loss for rate, loss in plain["tried"].items()})


def keep_training(entry: CacheEntry, model: Any, best: BestEpoch | None, done: Done) -> None:
    """Keep where the training of a model is.

    Args:
        entry: The place of this training.
        model: The tf-keras model that is trained.
        best: The judge of its epochs, or None.
        done: The finished part of the training.

    Raises:
        HostDiskError: The disk is full or read-only.
        ConversionError: The folder cannot be written.
    """
    state, weights = best.state() if best is not None else ({}, [])
    rate = model.optimizer.learning_rate  # a number, where it follows a schedule
    plain = {
        "best": state,
        "epochs": done.epochs,
        "tried": done.tried,
        "learning_rate": float(rate) if hasattr(rate, "assign") else None,
    }
    parts = {
        _PLAIN: json.dumps(plain).encode(),
        _MODEL: _packed(model.get_weights()),
        _OPTIMIZER: _packed([np.asarray(v) for v in model.optimizer.variables]),
        _BEST: _packed(weights),
    }
    entry.put(parts)


class CollectEpochs(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Notes the figures of each epoch."""

    def __init__(self, done: Done) -> None:
        super().__init__()
        self._done = done

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Note them."""
        self._done.epochs.append({name: float(value) for name, value in (logs or {}).items()})


class KeepEpochs(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps a checkpoint after each epoch, or as often as its cost allows."""

    def __init__(self, checkpoint: CacheEntry, best: BestEpoch | None, done: Done) -> None:
        super().__init__()
        self._checkpoint, self._best, self._done = checkpoint, best, done
        self._not_before = 0.0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Remember it; a full disk costs the way back, not the training."""
        started = time.monotonic()
        if started < self._not_before or not np.isfinite(self._done.epochs[-1]["loss"]):
            return
        try:
            keep_training(self._checkpoint, self.model, self._best, self._done)
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
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        return [found[name] for name in sorted(found.files)]
