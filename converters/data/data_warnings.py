"""Faults of data that can be read but makes figures poor; one sentence each. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from converters.data.dataset import TEST, TRAIN, Dataset, Samples
from converters.data.fields import are_rows_equal, select_field
from converters.data.split import Labels

_NAMED = 10


def data_warnings(
    dataset: Dataset, samples: Mapping[str, Samples], classes: int | Mapping[str, int]
) -> tuple[str, ...]:
    """List what a person should know before trusting figures from this data.

    Args:
        dataset: The whole data.
        samples: Use (`TRAIN`, `TEST`, …) to the samples that were read for it.
        classes: Number of classes of the model; for several outputs name to number.

    Returns:
        One sentence a fault; empty if there is none.
    """
    warnings = _unlabelled(dataset)
    warnings += dict.fromkeys(note for of_use in samples.values() for note in of_use.notes)
    labelled = [split for split in (TRAIN, TEST) if split not in dataset.unlabelled]
    if dataset.task.is_classification:
        for split in labelled:
            warnings += _missing(dataset, split, dataset.labels[split], select_field(classes, ""))
    for split in labelled if dataset.task.parts else ():
        parts = samples[split].by_output() if split in samples else {}
        for name, part in parts.items():
            if part.task.is_classification:
                warnings += _missing(dataset, split, part.labels, select_field(classes, name), name)
    for use in (TRAIN, TEST):
        if use in samples:
            warnings += _constant(use, samples[use])
    return tuple(warnings)


def _unlabelled(dataset: Dataset) -> list[str]:
    if TEST in dataset.unlabelled:
        return [
            "the data has no labels: what the original model answers counts as right, so every "
            "figure says how far the file keeps to it, none how good either is"
        ]
    if TRAIN in dataset.unlabelled:
        return [
            "the training samples have no labels: steps learn what the original model answers, "
            "and validate on it; the test figures are of your labels"
        ]
    return []


def _missing(
    dataset: Dataset, split: str, labels: Labels, classes: int, output: str = ""
) -> list[str]:
    counts = np.bincount(labels, minlength=classes)
    absent = [dataset.class_names[n] if dataset.class_names else str(n)
               for n in np.flatnonzero(counts == 0)]  # fmt: skip
    if not absent:
        return []
    names = ", ".join(absent[:_NAMED]) + (" …" if len(absent) > _NAMED else "")
    consequence = "what is trained unlearns them" if split == TRAIN else "no figure is about them"
    whose = f" of the output {output!r}" if output else ""
    return [
        f"{len(absent)} of {classes} classes{whose} have no {split} sample ({names}): "
        f"{consequence}; add samples of them"
    ]


def _constant(use: str, samples: Samples) -> list[str]:
    if len(samples) < 2:
        return []
    if are_rows_equal(samples.stored):
        return [f"all {use} samples are the same: look at the data, nothing can be said from it"]
    targets = samples.targets
    if targets is not None and are_rows_equal(targets):
        return [f"all right answers of the {use} samples are the same: look at y_{use}"]
    return []
