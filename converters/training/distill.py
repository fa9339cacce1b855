"""The steps of a recipe that train a model on: by its data alone, or by a teacher as well."""

from __future__ import annotations

from dataclasses import replace

from converters.draft.draft import Draft, Materials, with_model
from converters.recipe.training_steps import Distill, FineTune
from converters.training.automatic import train_on
from converters.training.parallel import shared, unshared
from converters.training.preserve import preserving
from converters.training.teacher import Teacher
from converters.training.teachers import teacher_of, told_of


def distill(draft: Draft, step: Distill, materials: Materials) -> Draft:
    """Train the model on; the model that the conversion began with, or others, are its teachers.

    Args:
        draft: A float tf-keras model, changed in place; best a smaller one than the teacher.
        step: How long and how fast, temperature and alpha.
        materials: With the split "train"; "validation" chooses between epochs.

    Raises:
        ConversionError: The training diverges, or a teacher does not fit.
    """
    teacher = teacher_of(step, materials, draft.keras_model)
    made = _trained(draft, step, materials, teacher)
    return replace(made, found={**made.found, **told_of(step)})


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
    model = shared(draft.keras_model, materials.strategy)
    found = train_on(model, step, materials, step.kind, teacher, preserving(draft.keep))
    model = unshared(model, materials.strategy)
    return replace(with_model(draft, model, materials), found=found)
