"""Trains a small classifier whole, and again with an interruption; writes what came of both.

Usage: python -m tests.converters.programs.training_report REPORT
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from converters.cache import Cache, CacheEntry
from converters.data.dataset import Samples
from converters.training.batches import BatchSettings
from converters.training.checkpoint import restore_training
from converters.training.fine_tune import TrainingContext, TrainingSettings, fine_tune

RATES = (1e-6, 3e-3, 1e-2)
SETTINGS = TrainingSettings(
    30, RATES, BatchSettings(32), patience=2, reduces=True, probabilities=True
)


class Interrupt(tf_keras.callbacks.Callback):
    """Ctrl-C in the midst of an epoch."""

    def on_train_batch_end(self, batch: Any, logs: Any = None) -> None:
        if self.model.optimizer.iterations > 45 and batch == 3:
            raise KeyboardInterrupt


class Rates(tf_keras.callbacks.Callback):
    """Notes the learning rate of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = []

    def on_epoch_begin(self, epoch: Any, logs: Any = None) -> None:
        self.seen.append(float(self.model.optimizer.learning_rate))


def samples(count: int, seed: int) -> Any:
    """Three overlapping clouds: no training gets all of them right."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centers = np.array([[1, 0], [-1, 1], [-1, -1]])
    return Samples(random.normal(centers[labels], 0.8).astype(np.float32), labels)


def model() -> Any:
    tf_keras.utils.set_random_seed(7)
    layers = tf_keras.layers
    return tf_keras.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(16, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(3),
            layers.Softmax(),
        ]
    )


def plain(history: Any) -> Any:
    return {
        "losses": history.losses,
        "accuracies": history.validation_accuracies,
        "kept_epoch": history.kept_epoch,
        "learning_rate": history.learning_rate,
        "tried": {f"{rate:g}": loss for rate, loss in history.trial_losses.items()},
    }


def main() -> None:
    data, validation = samples(300, 1), samples(150, 2)
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        whole, rates = model(), Rates()
        around = TrainingContext(callbacks=[rates])
        report = {"whole": plain(fine_tune(whole, data, SETTINGS, None, validation, around))}
        report["rates"] = rates.seen[len(RATES) :]  # those before were trials
        checkpoint = CacheEntry(cache, "0" * 64)
        try:
            around = TrainingContext(checkpoint=checkpoint, callbacks=[Interrupt()])
            fine_tune(model(), data, SETTINGS, None, validation, around)
        except KeyboardInterrupt:
            report["interrupted"] = True
        resumed, rates = model(), Rates()
        around = TrainingContext(checkpoint=checkpoint, callbacks=[rates])
        report["resumed"] = plain(fine_tune(resumed, data, SETTINGS, None, validation, around))
        report["rates_after"] = rates.seen
        pairs = zip(whole.get_weights(), resumed.get_weights(), strict=True)
        report["same_weights"] = all((one == other).all() for one, other in pairs)
        cache.remove(checkpoint.key)
        report["forgotten"] = restore_training(checkpoint, resumed, None) is None
    Path(sys.argv[1]).write_text(json.dumps(report))


if __name__ == "__main__":
    main()
