"""Training for a step of a recipe, with a choice of all that the step leaves open.

If the step leaves the learning rate open, a few rates are tried for a short time, and the one with
the lowest loss on the validation samples is used. If it leaves the epochs open too, training goes
on until these samples show no gain, then twice more with a smaller learning rate; the best epoch is
kept. If the step gives both, the learning rate falls to 0 along a cosine.
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
    TrainingContext,
    TrainingSettings,
    fine_tune,
)
from converters.training.teacher import Teacher


@dataclass(frozen=True)
class Automatic:
    """Settings that kedge uses where a step leaves them open."""

    learning_rates: tuple[float, ...]
    """Learning rates to try."""
    epochs: int
    """Largest number of epochs."""
    patience: int
    """Number of epochs without a gain before the learning rate falls, or the training ends."""
    validates: bool = False
    """Whether the best epoch is kept even if the step gives both learning rate and epochs."""


#: Settings for a float model, which may have lost much or nothing.
TUNING = Automatic((3e-3, 1e-3, 3e-4, 1e-4), epochs=30, patience=2, validates=True)
#: Settings for models that are nearly right: small steps, and few of them.
FOR_QAT = Automatic((3e-4, 1e-4, 3e-5), epochs=12, patience=1)
FOR_CLUSTER = Automatic((3e-4, 1e-4, 3e-5), epochs=12, patience=1)
#: A single learning rate: a trial while the zeros grow would say little about the rest.
FOR_SPARSE = Automatic((1e-3,), epochs=20, patience=2)

#: Kind of a step to its settings. A new technique that trains adds its line here.
AUTOMATIC = {
    "tune": TUNING,
    "distill": TUNING,
    "qat_w8a8": FOR_QAT,
    "cluster": FOR_CLUSTER,
    "sparse": FOR_SPARSE,
}


def is_open(step: TrainingStep) -> bool:
    """Whether a step leaves its epochs or its learning rate to kedge."""
    return AUTO in (step.epochs, step.learning_rate)


def most_epochs(step: TrainingStep) -> int:
    """Largest number of passes over the training samples in a step."""
    return AUTOMATIC[step.kind].epochs if step.epochs == AUTO else int(step.epochs)


def trial_batches(step: TrainingStep, batches: int) -> int:
    """Number of batches in the trials of learning rates, where an epoch has `batches`."""
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
    """Continue the training of a model, in place.

    Args:
        model: Built tf-keras model; it may contain TFMOT's wrappers.
        step: Settings of the training; `AUTO` leaves a setting to kedge.
        materials: Samples with the split "train"; those of "validation" decide choices.
        stage: Name of the stage in the progress.
        teacher: Teacher to learn from in addition to the labels.
        callbacks: Callbacks of tf-keras.
        first_epoch: First epoch that may be kept, from 0, if the step leaves the epochs open.

    Returns:
        Facts about the training for conversion.json.

    Raises:
        ConversionError: The training diverges: a smaller learning rate is needed.
    """
    choice = AUTOMATIC[step.kind]
    left_open = is_open(step)
    rate = step.learning_rate
    settings = TrainingSettings(
        epochs=most_epochs(step),
        learning_rates=choice.learning_rates if rate == AUTO else (float(rate),),
        batches=BatchSettings(
            step.batch_size,
            materials.seed,
            "flip" in step.augment,
            materials.source.inputs[0].shape[0] // 8 if "shift" in step.augment else 0,
            step.mix,
            step.mix_alpha,
        ),
        probabilities=materials.source.probabilities,
        cosine=not left_open,
        warmup_epochs=step.warmup_epochs,
        weight_average=getattr(step, "weight_average", 0.0),
        patience=choice.patience if left_open else getattr(step, "patience", 0),
        reduces=left_open,
        first_epoch=first_epoch if left_open else 0,
        stage=stage,
    )
    validation = materials.samples.get(VALIDATION) if choice.validates or left_open else None
    context = TrainingContext(materials.report, materials.checkpoint, materials.logs, callbacks)
    history = fine_tune(model, materials.samples[TRAIN], settings, teacher, validation, context)
    return _report_history(history, left_open)


def _report_history(history: History, left_open: bool) -> dict[str, Any]:
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
        "tried": {f"{rate:g}": round(loss, 5) for rate, loss in history.trial_losses.items()},
    }
