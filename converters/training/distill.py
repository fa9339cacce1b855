"""The steps of a recipe that continue a training: with the data alone, or also with a teacher."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from converters.draft.draft import Draft, Materials
from converters.recipe.training_steps import Distill, FineTune
from converters.training.automatic import train_on
from converters.training.parallel import from_strategy
from converters.training.preserve import preserve_callbacks
from converters.training.teacher import Teacher
from converters.training.teachers import make_teacher
from converters.training.trainable import model_to_train, with_weights_of


def distill(draft: Draft, step: Distill, materials: Materials) -> Draft:
    """Train the model with teachers: the model that the conversion began with, or others.

    Args:
        draft: Draft that is not quantized; best smaller than the teacher.
        step: Epochs, learning rate, temperature and alpha.
        materials: Samples with the split "train"; those of "validation" choose between epochs.

    Raises:
        ConversionError: The training diverges, or a teacher does not fit.
    """
    model = model_to_train(draft, materials.strategy)
    teacher = make_teacher(step, materials, model)
    draft_after = _train(draft, model, step, materials, teacher)
    return replace(draft_after, found={**draft_after.found, **teacher.facts})


def fine_tune_draft(draft: Draft, step: FineTune, materials: Materials) -> Draft:
    """Train the model with the data alone.

    Args:
        draft: Draft that is not quantized.
        step: Epochs and learning rate.
        materials: Samples with the split "train"; those of "validation" choose between epochs.

    Raises:
        ConversionError: The training diverges: a smaller learning rate is needed.
    """
    return _train(draft, model_to_train(draft, materials.strategy), step, materials, None)


def _train(
    draft: Draft, model: Any, step: FineTune, materials: Materials, teacher: Teacher | None
) -> Draft:
    history = train_on(model, step, materials, step.kind, teacher, preserve_callbacks(draft.keep))
    model = from_strategy(model, materials.strategy)
    return replace(with_weights_of(draft, model), found=history)
