"""Trains a model on for a step of a recipe: what the step leaves open is chosen here.

Where the learning rate is left open, a few are tried shortly and that with the lowest loss on the
validation samples is taken. Where the epochs are left open too, training goes on until these
samples show no gain any more, then twice more with a smaller learning rate; the best epoch is kept.
Where both are given, the learning rate falls to 0 along a cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from converters.data.dataset import TRAIN, VALIDATION
from converters.draft.draft import Materials
from converters.recipe.step import AUTO, TrainingStep
from converters.training.batches import BatchSettings
from converters.training.fine_tune import (
    TRIAL_BATCHES,
    History,
    Surroundings,
    TrainingSettings,
    fine_tune,
)
from converters.training.teacher import Teacher


@dataclass(frozen=True)
class Automatic:
    """What is chosen where a step leaves it open."""

    learning_rates: tuple[float, ...]
    """Those that are tried."""
    epochs: int
    """At most."""
    patience: int
    """Epochs without a gain before the learning rate falls, or the training ends."""
    validates: bool = False
    """Whether the best epoch is kept also where both are given."""


#: Of a float model, that lost much or nothing.
TUNING = Automatic((3e-3, 1e-3, 3e-4, 1e-4), epochs=30, patience=2, validates=True)
#: A model that is nearly right: small steps, and few of them.
ROUNDED = Automatic((3e-4, 1e-4, 3e-5), epochs=12, patience=1)
SHARED = Automatic((3e-4, 1e-4, 3e-5), epochs=12, patience=1)
#: While zeros grow a trial would tell little of what is to come, so there is none.
THINNED = Automatic((1e-3,), epochs=20, patience=2)

#: Kind of a step to what is chosen for it. A new technique that trains adds its line here.
AUTOMATIC = {
    "tune": TUNING,
    "distill": TUNING,
    "qat_w8a8": ROUNDED,
    "cluster": SHARED,
    "sparse": THINNED,
}


def is_open(step: TrainingStep) -> bool:
    """Whether a step leaves anything of its training to kedge."""
    return AUTO in (step.epochs, step.learning_rate)


def most_epochs(step: TrainingStep) -> int:
    """Passes over the training samples that a step makes at most."""
    return AUTOMATIC[step.kind].epochs if step.epochs == AUTO else int(step.epochs)


def trial_batches(step: TrainingStep, batches: int) -> int:
    """Batches that the trials of learning rates take before the training; `batches` an epoch."""
    rates = AUTOMATIC[step.kind].learning_rates
    if step.learning_rate != AUTO or len(rates) == 1:
        return 0
    return len(rates) * min(TRIAL_BATCHES, batches)


def train_on(
    model: Any,
    step: TrainingStep,
    materials: Materials,
    stage: str,
    teacher: Teacher | None = None,
    callbacks: Sequence[Any] = (),
    first_epoch: int = 0,
) -> dict[str, Any]:
    """Train a model on, in place.

    Args:
        model: As for `fine_tune`.
        step: How, where it says so.
        materials: With the split "train"; "validation" chooses.
        stage: What the progress calls it.
        teacher: Whom to learn from besides the labels.
        callbacks: Of tf-keras.
        first_epoch: Where epochs are left open: the first that may be kept, from 0.

    Returns:
        What is worth keeping of it in conversion.json.

    Raises:
        ConversionError: The training diverges.
    """
    how = AUTOMATIC[step.kind]
    left_open = is_open(step)
    given = step.learning_rate
    settings = TrainingSettings(
        epochs=most_epochs(step),
        learning_rates=how.learning_rates if given == AUTO else (float(given),),
        batches=BatchSettings(
            step.batch_size,
            materials.seed,
            "flip" in step.augment,
            materials.source.inputs[0].shape[0] // 8 if "shift" in step.augment else 0,
        ),
        probabilities=materials.source.probabilities,
        cosine=not left_open,
        patience=how.patience if left_open else getattr(step, "patience", 0),
        reduces=left_open,
        first_epoch=first_epoch if left_open else 0,
        stage=stage,
    )
    validation = materials.samples.get(VALIDATION) if how.validates or left_open else None
    around = Surroundings(materials.report, materials.checkpoint, materials.logs, callbacks)
    history = fine_tune(model, materials.samples[TRAIN], settings, teacher, validation, around)
    return _found(history, left_open)


def _found(history: History, left_open: bool) -> dict[str, Any]:
    return {
        "losses": [round(loss, 5) for loss in history.losses],
        "validation_accuracies": list(history.validation_accuracies),
        "validation_losses": [round(loss, 5) for loss in history.validation_losses],
        "kept_epoch": history.kept_epoch,
        "epochs": len(history.losses),
        "steps_an_epoch": history.steps_an_epoch,
        "devices": history.devices,
        "learning_rate": history.learning_rate,
        "chosen_by": "kedge" if left_open else "recipe",
        "tried": {f"{rate:g}": round(loss, 5) for rate, loss in history.tried.items()},
    }
