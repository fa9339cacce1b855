"""The data that comes with a model: labelled samples, of which only the wanted ones are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.fields import as_floats
from converters.data.split import Labels, Rows, held_out_split
from converters.data.task import CLASSIFIER, Task, TaskWish
from converters.errors import ConversionError
from converters.progress import Report

Array = npt.NDArray[Any]

TRAIN = "train"
TEST = "test"
#: Some of the training samples, each used for one thing only.
CALIBRATION = "calibration"
VALIDATION = "validation"
#: Some of those that learn, to judge the accuracy on them.
JUDGED_TRAIN = "judged train"

#: Fewer can neither set ranges nor train anything.
MIN_TRAIN_SAMPLES = 10


@dataclass(frozen=True)
class InputForm:
    """What a model takes and tells apart: what its data must look like."""

    shape: tuple[int, ...]
    """Of one sample, without the batch axis."""
    classes: int
    """Labels run from 0 to this, without it."""
    outputs: tuple[int, ...] | None = None
    """Shape of an answer, without the batch axis; None where only classifiers are taken."""
    wish: TaskWish = TaskWish()  # noqa: RUF009 - frozen
    """What the recipe says about the task."""
    trains: bool = True
    """Whether training samples have to be there too; else only test samples."""
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Name to the shape of each of several inputs; empty for one. Then `shape` is ()."""
    answers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Name to the shape of the answers of each of several outputs; empty for one. Then `classes`
    and `outputs` say nothing."""
    probabilities: bool | Mapping[str, bool] | None = None
    """Whether its answers are probabilities, of several outputs by their names: then its own
    answers can stand in for labels. None where data must have labels."""

    def of_output(self, name: str) -> InputForm:
        """The same with this output alone."""
        shape = self.answers[name]
        classes = max(2, int(np.prod(shape)))
        wish, given = self.wish.of_output(name), self.probabilities
        probabilities = given[name] if isinstance(given, Mapping) else given
        return replace(
            self,
            classes=classes,
            outputs=shape,
            answers={},
            wish=wish,
            probabilities=probabilities,
        )


@dataclass(frozen=True)
class Samples:
    """Samples in memory, in the type that they were stored in."""

    stored: Array
    """Shape (n, *shape): pixels as uint8, or an .npz's own numbers; of several inputs shape (n,), a
    field for each (`converters.data.fields`)."""
    labels: Labels
    """int64, shape (n,); of what is no classification 0, but for anomalies, which are 1; of several
    outputs one number for each combination of their classes."""
    factor: float = 1.0
    """What a stored number is multiplied with before the model sees it."""
    offset: float = 0.0
    """What is added then."""
    task: Task = CLASSIFIER
    """What the samples teach."""
    targets: Array | None = None
    """The right answers of a regression, float32, shape (n, *outputs); of several outputs a field
    for each: classes, int64, or answers of a regression. None for others."""

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: slice | Rows) -> Array:
        """What the model is fed for these rows: float32, shape (rows, *shape), or fields of it."""
        batch = as_floats(self.stored[rows])
        if (self.factor, self.offset) != (1.0, 0.0):
            batch = batch * np.float32(self.factor) + np.float32(self.offset)
        return batch

    def wanted(self, rows: slice | Rows) -> Array:
        """The right answers for these rows: class numbers, or what the model should give."""
        if self.task.is_classification:
            return self.labels[rows]
        return self.batch(rows) if self.targets is None else self.targets[rows]

    def of_outputs(self) -> dict[str, Samples]:
        """The same samples for each output alone, by its name; of a single one by ""."""
        targets = self.targets
        if not self.task.parts or targets is None:
            return {"": self}
        found = {}
        for name, task in self.task.parts.items():
            chosen = task.is_classification
            labels = targets[name] if chosen else np.zeros(len(self), np.int64)
            right = None if chosen else targets[name]
            found[name] = replace(self, labels=labels, task=task, targets=right)
        return found

    def subset(self, rows: slice | Rows) -> Samples:
        """Some of the samples."""
        targets = None if self.targets is None else self.targets[rows]
        return replace(self, stored=self.stored[rows], labels=self.labels[rows], targets=targets)

    def batches(self, size: int) -> Iterator[tuple[Array, Array]]:
        """All samples in order, `size` at a time, each with what `wanted` says of it."""
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            yield self.batch(rows), self.wanted(rows)


@dataclass(frozen=True)
class Selection:
    """Samples that somebody wants."""

    split: str
    """`TRAIN` or `TEST`."""
    rows: Rows
    """Of that split."""


#: Use (`TRAIN`, `CALIBRATION`, …) to what is wanted for it; reads it in one pass.
Read = Callable[[Mapping[str, Selection], Report], dict[str, Samples]]


@dataclass(frozen=True)
class Dataset:
    """Data that was looked through, but not read."""

    path: Path
    """File or folder."""
    labels: Mapping[str, Labels]
    """Of `TRAIN` and `TEST`: int64, shape (n,)."""
    origins: Mapping[str, str]
    """Of `TRAIN` and `TEST`: where the samples come from, in words."""
    read: Read
    """Reads what is wanted for each use."""
    class_names: tuple[str, ...] = ()
    """In the order of their numbers; empty where the data has numbers only."""
    task: Task = CLASSIFIER
    """What the data teaches."""
    content_sha256: str = ""
    """Digest of the arrays, where no file tells them; else ""."""
    unlabelled: frozenset[str] = frozenset()
    """Which of `TRAIN` and `TEST` have no labels: what the model itself answers stands in for them.
    Until then `labels` has zeros there."""
    pictures: bool = False
    """Whether the samples are decoded pictures rather than arrays as they are."""


def divided(
    path: Path,
    labels: Labels,
    seed: int,
    read_all: Callable[[dict[str, Rows], Report], dict[str, Samples]],
) -> Dataset:
    """A dataset of samples that came without a split: 80 % to train, 20 % held out.

    Args:
        path: File or folder.
        labels: Of all samples, int64, shape (n,).
        seed: Decides the split.
        read_all: Reads, for each use, the wanted rows of all samples.
    """
    rows = dict(zip((TRAIN, TEST), held_out_split(labels, seed), strict=True))

    def read(wanted: Mapping[str, Selection], report: Report) -> dict[str, Samples]:
        return read_all({use: rows[want.split][want.rows] for use, want in wanted.items()}, report)

    whose = "each class" if labels.any() else "them"
    return Dataset(
        path,
        {name: labels[of_split] for name, of_split in rows.items()},
        {TRAIN: f"80 % of {whose}, seed {seed}", TEST: f"20 % of {whose}, seed {seed}"},
        read,
    )


def checked(dataset: Dataset, trains: bool = True) -> Dataset:
    """The same dataset, with enough in it to be of use.

    Args:
        dataset: That was looked through.
        trains: As in `InputForm`.

    Raises:
        ConversionError: Too few samples to train with or none to judge by.
    """
    found = {name: len(labels) for name, labels in dataset.labels.items()}
    if not trains and found[TEST]:
        return dataset
    found.setdefault(TRAIN, 0)
    if found[TRAIN] < MIN_TRAIN_SAMPLES or found[TEST] < 1:
        raise ConversionError(
            f"{dataset.path}: has {found[TRAIN]} training and {found[TEST]} test samples, expected "
            f"at least {MIN_TRAIN_SAMPLES} and 1",
            "add data; a few hundred training and test samples make the numbers mean something",
        )
    return dataset
