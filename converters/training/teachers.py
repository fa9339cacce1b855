"""Who teaches in a step of a recipe: the model as it was given, or those that the step names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import TRAIN, Samples
from converters.data.fields import joined, part
from converters.data.task import Task
from converters.digest import sha256_of
from converters.draft.draft import Materials
from converters.errors import ConversionError
from converters.judge.input_range import range_warnings
from converters.recipe.training_steps import NO_FEATURES, Taught
from converters.sources.inputs_outputs import End, Probabilities
from converters.sources.load import LoadedModel, load_model
from converters.sources.source_file import identify
from converters.training.feature_distill import features_of
from converters.training.teacher import Teacher, ensemble, log_probabilities

#: So many samples show whether a teacher knows the data at all.
_ASKED = 500
#: Right on less than this share of what the model is right on, it is asked in another language.
_LEAST_SHARE = 0.5
_OTHER_DATA = "name teachers that were trained on the same data"


def teacher_of(step: Taught, materials: Materials, student: Any) -> Teacher:
    """The teacher of a step.

    Args:
        step: Which models teach, and how much they have to say.
        materials: The model as it was given; with the split "train".
        student: The tf-keras model that learns.

    Raises:
        ConversionError: A teacher does not fit the model or the data; the message names it.
    """
    models = [_loaded(Path(path), materials) for path in step.teachers] or [materials.source]
    features = None
    task = materials.samples[TRAIN].task
    if step.features != NO_FEATURES:
        if not task.is_classification:
            raise ConversionError(
                f"features = {step.features!r} is for classifiers of one output",
                'write `features = "none"`',
            )
        features = features_of(step.features, step.feature_weight, student, models[0])
    if task.parts:
        several, probabilities = _of_outputs(models, task)
        return Teacher(several, probabilities, step.temperature, step.alpha)
    if not task.is_classification:
        return Teacher(_mean_of(models), False, step.temperature, step.alpha)
    if len(models) == 1:
        (one,) = models
        return Teacher(one.predict, one.probabilities, step.temperature, step.alpha, features)
    group = [Teacher(model.predict, model.probabilities) for model in models]
    return ensemble(group, step.temperature, step.alpha, features)


def told_of(step: Taught) -> dict[str, Any]:
    """The models that taught, for conversion.json; nothing where it was the given one."""
    told = [{"path": path, "sha256": sha256_of(Path(path))} for path in step.teachers]
    return {"teachers": told} if told else {}


def _mean_of(models: list[LoadedModel]) -> Any:
    def predict(batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
        mean: npt.NDArray[Any] = np.mean([model.predict(batch) for model in models], axis=0)
        return mean

    return predict


def _of_outputs(models: list[LoadedModel], task: Task) -> tuple[Any, Probabilities]:
    """Who answers for several outputs: probabilities of classes and numbers are averaged."""
    if len(models) == 1:
        return models[0].predict, models[0].probabilities

    def predict(batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
        every = [(model.predict(batch), model.probabilities) for model in models]
        return joined(
            {
                name: np.mean(
                    [
                        np.exp(log_probabilities(answers[name], part(probabilities, name)))
                        if one.is_classification
                        else answers[name]
                        for answers, probabilities in every
                    ],
                    axis=0,
                )
                for name, one in task.parts.items()
            }
        )

    return predict, {name: one.is_classification for name, one in task.parts.items()}


def _loaded(path: Path, materials: Materials) -> LoadedModel:
    teacher, source = load_model(identify(path)), materials.source
    gives: tuple[str, Any, Any] = ("gives", _told(teacher.outputs), _told(source.outputs))
    if len(teacher.outputs) == len(source.outputs) == 1:
        gives = ("tells so many classes apart:", teacher.classes, source.classes)
    for what, its, wanted in (("takes", _told(teacher.inputs), _told(source.inputs)), gives):
        if its != wanted:
            raise ConversionError(
                f"teacher {path}: {what} {its}, the model {wanted}",
                _OTHER_DATA,
            )
    samples = materials.samples[TRAIN]
    of_range = range_warnings(teacher, {TRAIN: samples})
    if of_range and not range_warnings(source, {TRAIN: samples}):
        raise ConversionError(f"teacher {path}: {of_range[0]}", _OTHER_DATA)
    if samples.task.is_classification:
        rows = np.linspace(0, len(samples) - 1, min(_ASKED, len(samples))).astype(np.int64)
        its_share, wanted_share = (_right(model, samples, rows) for model in (teacher, source))
        if its_share < _LEAST_SHARE * wanted_share:
            raise ConversionError(
                f"teacher {path}: is right on {its_share:.0%} of {len(rows)} training samples, the "
                f"model on {wanted_share:.0%}: it knows inputs of another scale, or the classes in "
                "another order",
                _OTHER_DATA,
            )
    return teacher


def _told(ends: tuple[End, ...]) -> str:
    """Inputs or outputs in words; of a single one its name says nothing."""
    if len(ends) == 1:
        return f"the shape {ends[0].shape}"
    return ", ".join(sorted(f"{end.name!r} of the shape {end.shape}" for end in ends))


def _right(model: LoadedModel, samples: Samples, rows: npt.NDArray[np.int64]) -> float:
    assert isinstance(model.probabilities, bool)
    scores = log_probabilities(np.asarray(model.predict(samples.batch(rows))), model.probabilities)
    return float((scores.argmax(axis=1) == samples.labels[rows]).mean())
