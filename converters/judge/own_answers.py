"""Samples without labels: what the model itself answers is what the file has to keep to.

So a teacher labels its student's data (Hinton et al., "Distilling the Knowledge in a Neural
Network", 2015, call it the transfer set, which needs no labels of its own).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import TEST, TRAIN, Dataset, InputForm, Samples
from converters.data.fields import join_fields, select_field
from converters.data.several_data import combine_labels, weight_tasks
from converters.data.task import LOGITS_CROSS_ENTROPY, SEGMENTATION, Task
from converters.judge.evaluate import answers_of_source, chosen_classes, threshold
from converters.progress import Report
from converters.sources.loaded_model import LoadedModel


def with_own_answers(
    source: LoadedModel,
    form: InputForm,
    dataset: Dataset,
    samples: Mapping[str, Samples],
    report: Report,
) -> dict[str, Samples]:
    """Take the model's answers as the right ones for samples without labels.

    Args:
        source: The original model.
        form: Inputs and outputs of the model.
        dataset: Data set of the samples.
        samples: Use to samples.
        report: Called now and then.

    Returns:
        Use to samples, all of them with right answers.

    Raises:
        ConversionError: The model answers with NaN.
    """
    complete = {
        use: _with_labels(source, of_use, report)
        if (TEST if use == TEST else TRAIN) in dataset.unlabelled
        else of_use
        for use, of_use in samples.items()
    }
    train = complete.get(TRAIN)
    if TRAIN not in dataset.unlabelled or train is None or train.targets is None:
        return complete
    if not train.task.parts:
        return complete
    task = weight_tasks(train.task, form, train.targets)
    return {use: replace(of_use, task=task) for use, of_use in complete.items()}


def _right_answers(task: Task, answers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if task.kind != SEGMENTATION:
        return answers.astype(np.float32)
    if answers.shape[-1] == 1:
        return (answers > threshold(task.loss != LOGITS_CROSS_ENTROPY)).astype(np.uint8)
    classes = answers.argmax(axis=-1)[..., None]
    one_hot: npt.NDArray[Any] = classes == np.arange(answers.shape[-1])
    return one_hot.astype(np.uint8)


def _with_labels(source: LoadedModel, samples: Samples, report: Report) -> Samples:
    answers, probabilities = answers_of_source(source, samples, report), source.probabilities
    task = samples.task
    right = {
        name: chosen_classes(select_field(answers, name), bool(select_field(probabilities, name)))
        if one.is_classification
        else _right_answers(one, select_field(answers, name))
        for name, one in (task.parts or {"": task}).items()
    }
    if task.parts:
        return replace(samples, labels=combine_labels(right), targets=join_fields(right))
    if task.is_classification:
        return replace(samples, labels=right[""])
    return replace(samples, targets=right[""])
