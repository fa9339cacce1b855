"""The teachers of a step: the original model, or the models that the step names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import TRAIN, Samples
from converters.data.fields import join_fields, select_field
from converters.data.task import LOGITS_CROSS_ENTROPY, Task
from converters.digest import sha256_of
from converters.draft.draft import Materials
from converters.errors import ConversionError
from converters.judge.input_range import range_warnings
from converters.recipe.training_steps import NO_FEATURES, TeacherStep
from converters.sources.inputs_outputs import ModelTensor, Probabilities
from converters.sources.kinds import identify
from converters.sources.load import load_model
from converters.sources.loaded_model import LoadedModel
from converters.training.born_again import train_teacher
from converters.training.feature_distill import pair_features
from converters.training.teacher import Teacher, average_teachers, log_probabilities

#: Number of samples that show whether a teacher was trained on such data.
_CHECK_SAMPLES = 500
#: Smallest accuracy of a teacher as a share of the model's; below, its inputs or classes differ.
_LEAST_SHARE = 0.5
_OTHER_DATA = "Name teachers that were trained on the same data."


def make_teacher(step: TeacherStep, materials: Materials, student: Any) -> Teacher:
    """Make the teacher of a step.

    Args:
        step: Paths of the teachers, and their share in the loss.
        materials: The original model, and samples with the split "train".
        student: tf-keras model that learns.

    Raises:
        ConversionError: A teacher does not fit the model or the data, and the message names it; or
            its own training diverges.
    """
    models = [_load_teacher(Path(path), materials) for path in step.teachers] or [materials.source]
    facts = _describe_files(step)
    if step.born_again:
        models[0], facts["born_again"] = train_teacher(step, materials)
    return replace(_teacher_of(models, step, materials, student), facts=facts)


def _teacher_of(
    models: list[LoadedModel], step: TeacherStep, materials: Materials, student: Any
) -> Teacher:
    """Teacher that gives the mean answers of models."""
    features = None
    task = materials.samples[TRAIN].task
    if step.features != NO_FEATURES:
        if not task.is_classification:
            raise ConversionError(
                f"features = {step.features!r} is for classifiers of one output",
                'Write `features = "none"`',
            )
        features = pair_features(step.features, step.feature_weight, student, models[0])
    if task.parts:
        several, probabilities = _predict_outputs(models, task)
        return Teacher(several, probabilities, step.temperature, step.alpha)
    if not task.is_classification:
        predict = _mean_predict(models, task.loss == LOGITS_CROSS_ENTROPY)
        return Teacher(predict, False, step.temperature, step.alpha)
    if len(models) == 1:
        (model,) = models
        return Teacher(model.predict, model.probabilities, step.temperature, step.alpha, features)
    group = [Teacher(model.predict, model.probabilities) for model in models]
    return average_teachers(group, step.temperature, step.alpha, features)


def _describe_files(step: TeacherStep) -> dict[str, Any]:
    """Files of the teachers; empty if the original model is the teacher."""
    teachers = [{"path": path, "sha256": sha256_of(Path(path))} for path in step.teachers]
    return {"teachers": teachers} if teachers else {}


def _mean_predict(models: list[LoadedModel], logits: bool = False) -> Any:
    def predict(batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
        mean: npt.NDArray[Any] = np.mean([model.predict(batch) for model in models], axis=0)
        return _probabilities_of(mean) if logits else mean

    return predict


def _probabilities_of(logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Probabilities of each place of a mask, from logits of the shape (n, ..., classes)."""
    if logits.shape[-1] == 1:
        single: npt.NDArray[Any] = 1 / (1 + np.exp(-logits))
        return single
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: npt.NDArray[Any] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def _predict_outputs(models: list[LoadedModel], task: Task) -> tuple[Any, Probabilities]:
    """Mean answers for several outputs, and whether they are probabilities.

    Probabilities are averaged for classifications, the answers themselves for other tasks.
    """
    if len(models) == 1:
        return models[0].predict, models[0].probabilities

    def predict(batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
        answers_of_models = [(model.predict(batch), model.probabilities) for model in models]
        return join_fields(
            {
                name: np.mean(
                    [
                        np.exp(log_probabilities(answers[name], select_field(probabilities, name)))
                        if part.is_classification
                        else answers[name]
                        for answers, probabilities in answers_of_models
                    ],
                    axis=0,
                )
                for name, part in task.parts.items()
            }
        )

    return predict, {name: part.is_classification for name, part in task.parts.items()}


def _load_teacher(path: Path, materials: Materials) -> LoadedModel:
    teacher, source = load_model(identify(path)), materials.source
    gives: tuple[str, Any, Any] = (
        "gives",
        _describe_shapes(teacher.outputs),
        _describe_shapes(source.outputs),
    )
    if len(teacher.outputs) == len(source.outputs) == 1:
        gives = ("tells so many classes apart:", teacher.classes, source.classes)
    for what, its, expected in (
        ("takes", _describe_shapes(teacher.inputs), _describe_shapes(source.inputs)),
        gives,
    ):
        if its != expected:
            raise ConversionError(
                f"teacher {path}: {what} {its}, the model {expected}",
                _OTHER_DATA,
            )
    samples = materials.samples[TRAIN]
    of_range = range_warnings(teacher, {TRAIN: samples})
    if of_range and not range_warnings(source, {TRAIN: samples}):
        raise ConversionError(f"teacher {path}: {of_range[0]}", _OTHER_DATA)
    if samples.task.is_classification:
        rows = np.linspace(0, len(samples) - 1, min(_CHECK_SAMPLES, len(samples))).astype(np.int64)
        share, model_share = (_share_right(model, samples, rows) for model in (teacher, source))
        if share < _LEAST_SHARE * model_share:
            raise ConversionError(
                f"teacher {path}: is right on {share:.0%} of {len(rows)} training samples, the "
                f"model on {model_share:.0%}: it knows inputs of another scale, or the classes in "
                "another order",
                _OTHER_DATA,
            )
    return teacher


def _describe_shapes(tensors: tuple[ModelTensor, ...]) -> str:
    """Shapes of inputs or outputs in words; the name of a single one is left out."""
    if len(tensors) == 1:
        return f"the shape {tensors[0].shape}"
    return ", ".join(sorted(f"{tensor.name!r} of the shape {tensor.shape}" for tensor in tensors))


def _share_right(model: LoadedModel, samples: Samples, rows: npt.NDArray[np.int64]) -> float:
    assert isinstance(model.probabilities, bool)
    scores = log_probabilities(np.asarray(model.predict(samples.batch(rows))), model.probabilities)
    return float((scores.argmax(axis=1) == samples.labels[rows]).mean())
