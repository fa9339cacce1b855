"""Samples without labels: what the model itself answers is what the file has to keep to.

So a teacher labels its student's data (Hinton et al., "Distilling the Knowledge in a Neural
Network", 2015, call it the transfer set, which needs no labels of its own).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from converters.data.dataset import TEST, TRAIN, Dataset, InputForm, Samples
from converters.data.fields import joined, part
from converters.data.several_data import combined, weighted_parts
from converters.judge.evaluate import answers_of_source, chosen_classes
from converters.progress import Report
from converters.sources.load import LoadedModel


def with_own_answers(
    source: LoadedModel,
    form: InputForm,
    dataset: Dataset,
    samples: Mapping[str, Samples],
    report: Report,
) -> dict[str, Samples]:
    """The same samples, with the model's answers as the right ones where there are no labels.

    Args:
        source: The model as it was given.
        form: Of the model.
        dataset: Where the samples come from.
        samples: By use.
        report: Told now and then.

    Raises:
        ConversionError: The model answers with NaN.
    """
    found = {
        use: _labelled(source, of_use, report)
        if (TEST if use == TEST else TRAIN) in dataset.unlabelled
        else of_use
        for use, of_use in samples.items()
    }
    learned = found.get(TRAIN)
    if TRAIN not in dataset.unlabelled or learned is None or learned.targets is None:
        return found
    if not learned.task.parts:
        return found
    task = weighted_parts(learned.task, form, learned.targets)
    return {use: replace(of_use, task=task) for use, of_use in found.items()}


def _labelled(source: LoadedModel, samples: Samples, report: Report) -> Samples:
    answers, probabilities = answers_of_source(source, samples, report), source.probabilities
    task = samples.task
    right = {
        name: chosen_classes(part(answers, name), bool(part(probabilities, name)))
        if one.is_classification
        else part(answers, name).astype(np.float32)
        for name, one in (task.parts or {"": task}).items()
    }
    if task.parts:
        return replace(samples, labels=combined(right), targets=joined(right))
    if task.is_classification:
        return replace(samples, labels=right[""])
    return replace(samples, targets=right[""])
