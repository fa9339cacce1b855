"""What makes data poor although it can be read; one sentence each. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from converters.data.dataset import TEST, TRAIN, Dataset, Samples
from converters.data.fields import are_alike, part
from converters.data.split import Labels

_NAMED = 10


def data_warnings(
    dataset: Dataset, samples: Mapping[str, Samples], classes: int | Mapping[str, int]
) -> tuple[str, ...]:
    """What a person should know before trusting figures from this data.

    Args:
        dataset: That was looked through.
        samples: By use, those that were read.
        classes: That the model distinguishes; of several outputs by their names.
    """
    warnings = _unlabelled(dataset)
    labelled = [split for split in (TRAIN, TEST) if split not in dataset.unlabelled]
    if dataset.task.is_classification:
        for split in labelled:
            warnings += _missing(dataset, split, dataset.labels[split], part(classes, ""))
    for split in labelled if dataset.task.parts else ():
        parts = samples[split].of_outputs() if split in samples else {}
        for name, one in parts.items():
            if one.task.is_classification:
                warnings += _missing(dataset, split, one.labels, part(classes, name), name)
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
    missing = [dataset.class_names[n] if dataset.class_names else str(n)
               for n in np.flatnonzero(counts == 0)]  # fmt: skip
    if not missing:
        return []
    shown = ", ".join(missing[:_NAMED]) + (" …" if len(missing) > _NAMED else "")
    consequence = "what is trained unlearns them" if split == TRAIN else "no figure is about them"
    whose = f" of the output {output!r}" if output else ""
    return [
        f"{len(missing)} of {classes} classes{whose} have no {split} sample ({shown}): "
        f"{consequence}; add samples of them"
    ]


def _constant(use: str, samples: Samples) -> list[str]:
    if len(samples) < 2:
        return []
    if are_alike(samples.stored):
        return [f"all {use} samples are the same: look at the data, nothing can be said from it"]
    targets = samples.targets
    if targets is not None and are_alike(targets):
        return [f"all right answers of the {use} samples are the same: look at y_{use}"]
    return []
