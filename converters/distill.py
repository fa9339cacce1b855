"""The steps of a recipe that train a model on: by its data alone, or by a teacher as well."""

from __future__ import annotations

from dataclasses import replace

from converters.dataset import TRAIN, VALIDATION
from converters.draft import Draft, Materials
from converters.fine_tune import TrainingSettings, fine_tune
from converters.preserve import preserving
from converters.steps import Distill, FineTune
from converters.teacher import Teacher
from converters.trainable import with_model


def distill(draft: Draft, step: Distill, materials: Materials) -> Draft:
    """Train the model on; the model that the conversion began with is its teacher.

    Args:
        draft: A float tf-keras model, changed in place; best a smaller one than the teacher.
        step: How long and how fast, temperature and alpha.
        materials: With the split "train"; "validation" chooses between epochs.

    Raises:
        ConversionError: The training diverges.
    """
    source = materials.source
    teacher = Teacher(source.predict, source.probabilities, step.temperature, step.alpha)
    return _trained(draft, step, materials, teacher)


def tune(draft: Draft, step: FineTune, materials: Materials) -> Draft:
    """Train the model on by its data alone.

    Args:
        draft: A float tf-keras model, changed in place.
        step: How long and how fast.
        materials: With the split "train"; "validation" chooses between epochs.

    Raises:
        ConversionError: The training diverges.
    """
    return _trained(draft, step, materials, None)


def _trained(draft: Draft, step: FineTune, materials: Materials, teacher: Teacher | None) -> Draft:
    source, model = materials.source, draft.keras_model
    history = fine_tune(
        model,
        materials.samples[TRAIN],
        TrainingSettings(
            epochs=step.epochs,
            learning_rate=step.learning_rate,
            batch_size=step.batch_size,
            seed=materials.seed,
            probabilities=source.probabilities,
            cosine=True,
            flip="flip" in step.augment,
            shift=source.input_shape[0] // 8 if "shift" in step.augment else 0,
            patience=step.patience,
            stage=step.kind,
        ),
        teacher,
        materials.report,
        materials.samples.get(VALIDATION),
        preserving(draft.keep),
    )
    return replace(
        with_model(draft, model, materials),
        found={
            "losses": [round(loss, 5) for loss in history.losses],
            "validation_accuracies": list(history.validation_accuracies),
            "kept_epoch": history.kept_epoch,
        },
    )
