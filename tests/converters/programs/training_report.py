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
#: A cosine after two epochs of warm-up; the model gets the average of its weights.
AVERAGED = TrainingSettings(
    12,
    (1e-2,),
    BatchSettings(30, mix="mixup", mix_alpha=0.2),
    cosine=True,
    warmup_epochs=2,
    weight_average=0.9,
)


class Interrupt(tf_keras.callbacks.Callback):
    """Ctrl-C in the midst of an epoch."""

    def on_train_batch_end(self, batch: Any, logs: Any = None) -> None:
        if self.model.optimizer.iterations > 45 and batch == 3:
            raise KeyboardInterrupt


class Weights(tf_keras.callbacks.Callback):
    """Notes the learning rate and the weights after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.rates: list[float] = []
        self.weights: list[Any] = []

    def on_train_batch_end(self, batch: Any, logs: Any = None) -> None:
        self.rates.append(float(self.model.optimizer.learning_rate))
        self.weights.append(self.model.get_weights())


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
            layers.BatchNormalization(momentum=0.9),
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


def average_weights(steps: list[Any]) -> Any:
    """The average that is documented: every tenth step, with a decay of 0.9 a step."""
    average = steps[9]
    for number in range(19, len(steps), 10):
        decay = min(0.9, (number + 2) / (number + 11)) ** 10
        average = [
            decay * old + (1 - decay) * new for old, new in zip(average, steps[number], strict=True)
        ]
    return average


def averaged(data: Any, validation: Any, cache: Cache) -> dict[str, Any]:
    """A training with a warm-up and an average of the weights: whole, and interrupted."""
    last, seen = model(), Weights()
    fine_tune(last, data, AVERAGED, context=TrainingContext(callbacks=[seen]))
    average = average_weights(seen.weights)
    normalization = last.layers[1]
    inputs = last.layers[0](data.stored).numpy()
    whole, resumed = model(), model()
    fine_tune(whole, data, AVERAGED, None, validation)
    checkpoint = CacheEntry(cache, "1" * 64)
    try:
        around = TrainingContext(checkpoint=checkpoint, callbacks=[Interrupt()])
        fine_tune(model(), data, AVERAGED, None, validation, around)
    except KeyboardInterrupt:
        around = TrainingContext(checkpoint=checkpoint)
        history = fine_tune(resumed, data, AVERAGED, None, validation, around)
    return {
        "rates": seen.rates,
        "farthest": max(
            float(np.abs(one - other).max())
            for one, other in zip(average, last.get_weights(), strict=True)
        ),
        "moved": float(np.abs(seen.weights[-1][0] - average[0]).max()),
        "means": [inputs.mean(axis=0).tolist(), normalization.moving_mean.numpy().tolist()],
        "variances": [inputs.var(axis=0).tolist(), normalization.moving_variance.numpy().tolist()],
        "epochs": len(history.losses),
        "same_weights": all(
            bool((one == other).all())
            for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True)
        ),
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
        report["averaged"] = averaged(data, validation, cache)
        report["forgotten"] = restore_training(checkpoint, resumed, None) is None
    Path(sys.argv[1]).write_text(json.dumps(report))


if __name__ == "__main__":
    main()
