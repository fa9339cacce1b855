"""The data that comes with a model: labelled samples. Only the selected ones are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.fields import to_input_dtypes
from converters.data.split import Labels, Rows, held_out_split
from converters.data.task import CLASSIFIER, Task, TaskWish
from converters.errors import ConversionError
from converters.progress import Report
from device_agent.contract.model_card import ImageInput

Array = npt.NDArray[Any]

TRAIN = "train"
TEST = "test"
#: Parts of the training samples; each sample has one use only.
CALIBRATION = "calibration"
VALIDATION = "validation"
#: Part of the samples that the model learns from, on which its accuracy is judged.
JUDGED_TRAIN = "judged train"
#: Use of training samples whose outputs are compared with a board's, beside too few test samples.
COMPARED = "compared"

#: Smallest number of training samples: fewer can neither set ranges nor train anything.
MIN_TRAIN_SAMPLES = 10


@dataclass(frozen=True)
class InputForm:
    """Shapes that a model takes and gives: the form that its data must have."""

    shape: tuple[int, ...]
    """Shape of one sample, without the batch axis."""
    classes: int
    """Number of classes; labels run from 0 to `classes` - 1."""
    outputs: tuple[int, ...] | None = None
    """Shape of one answer, without the batch axis; None where only classifiers are accepted."""
    wish: TaskWish = TaskWish()  # noqa: RUF009 - frozen
    """Statements of the recipe about the task."""
    trains: bool = True
    """Whether training samples are needed; if not, test samples are enough."""
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Name to the shape of each of several inputs, and then `shape` is (); empty for one input."""
    answers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Name to the shape of one answer of each of several outputs, and then `classes` and `outputs`
    have no meaning; empty for one output."""
    dtypes: Mapping[str, str] = field(default_factory=dict)
    """Name of each input of whole numbers, "" for a single input, to its type, such as "int32"; the
    other inputs take real numbers."""
    axes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Name of each input, "" for a single one, to the axes of its arrays without the batch axis, in
    the order of the model's input; inputs whose arrays have the order of the model are missing."""
    answer_axes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Name of each output, "" for a single one, to the axes of its right answers without the batch
    axis, in the order of the model's output; outputs of the same order are missing."""
    picture: ImageInput | None = None
    """Declaration of pictures that the user wrote into a model.toml; None where there is none."""
    probabilities: bool | Mapping[str, bool] | None = None
    """Whether the model's answers are probabilities; for several outputs name to whether. The
    model's own answers can then replace labels. None where data must have labels."""

    def for_output(self, name: str) -> InputForm:
        """The form with this output alone."""
        shape = self.answers[name]
        classes = max(2, int(np.prod(shape)))
        wish, by_name = self.wish.for_output(name), self.probabilities
        probabilities = by_name[name] if isinstance(by_name, Mapping) else by_name
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
    """Samples in memory, in the dtype that they were stored in."""

    stored: Array
    """Shape (n, *shape): pixels as uint8, or the numbers of an .npz in their own dtype. For several
    inputs shape (n,), a field for each (`converters.data.fields`)."""
    labels: Labels
    """int64, shape (n,): class numbers. For tasks other than classification 0, but 1 for anomalies.
    For several outputs one number for each combination of their classes."""
    factor: float = 1.0
    """Factor that stored numbers are multiplied by before the model sees them."""
    offset: float = 0.0
    """Number that is added after the multiplication."""
    task: Task = CLASSIFIER
    """Task that the samples teach."""
    targets: Array | None = None
    """Right answers of a regression, float32, shape (n, *outputs). For several outputs shape (n,),
    a field for each: class numbers, int64, or answers of a regression. None for other tasks."""
    dtypes: Mapping[str, str] = field(default_factory=dict)
    """Types of the inputs of whole numbers (`InputForm.dtypes`)."""
    notes: tuple[str, ...] = ()
    """Sentences about the pictures: what was applied to them, or was not."""
    ignores_exif: bool = False
    """Whether there are pictures whose EXIF orientation was not applied."""
    shares: Array | None = None
    """Share of each class in the label of each sample, float32, shape (n, classes), where labels
    are soft; else None. `labels` then has the class of the largest share."""

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: slice | Rows) -> Array:
        """Inputs of the model for these rows.

        Returns:
            float32, or the type of an input of whole numbers, shape (rows, *shape); for several
            inputs shape (rows,), a field for each.
        """
        batch = to_input_dtypes(self.stored[rows], self.dtypes)
        if (self.factor, self.offset) != (1.0, 0.0):
            batch = batch * np.float32(self.factor) + np.float32(self.offset)
        return batch

    def right_answers(self, rows: slice | Rows) -> Array:
        """Right answers for these rows.

        Returns:
            Class numbers of a classification, int64, shape (rows,); else the answers that the model
            should give, float32, shape (rows, *outputs), or a field for each output.
        """
        if self.task.is_classification:
            return self.labels[rows]
        return self.batch(rows) if self.targets is None else self.targets[rows]

    def by_output(self) -> dict[str, Samples]:
        """Name of each output to the samples with its answers alone; "" for a single output."""
        targets = self.targets
        if not self.task.parts or targets is None:
            return {"": self}
        samples = {}
        for name, task in self.task.parts.items():
            is_classification = task.is_classification
            labels = targets[name] if is_classification else np.zeros(len(self), np.int64)
            right = None if is_classification else targets[name]
            samples[name] = replace(self, labels=labels, task=task, targets=right)
        return samples

    def subset(self, rows: slice | Rows) -> Samples:
        """The samples of these rows."""
        targets = None if self.targets is None else self.targets[rows]
        shares = None if self.shares is None else self.shares[rows]
        stored, labels = self.stored[rows], self.labels[rows]
        return replace(self, stored=stored, labels=labels, targets=targets, shares=shares)

    def batches(self, size: int) -> Iterator[tuple[Array, Array]]:
        """Yield all samples in order: inputs of shape (size, *shape) and their `right_answers`.

        The last batch may be smaller. For several inputs the shape is (size,), a field for each.
        """
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            yield self.batch(rows), self.right_answers(rows)


@dataclass(frozen=True)
class Selection:
    """Samples to read for one use."""

    split: str
    """`TRAIN` or `TEST`."""
    rows: Rows
    """Rows of that split, int64, shape (k,)."""


#: Function that reads the selections of all uses (`TRAIN`, `CALIBRATION`, …) in one pass.
Read = Callable[[Mapping[str, Selection], Report], dict[str, Samples]]


@dataclass(frozen=True)
class Dataset:
    """Data whose list of samples is known; the samples themselves are not read yet."""

    path: Path
    """File or folder."""
    labels: Mapping[str, Labels]
    """Labels of `TRAIN` and `TEST`: int64, shape (n,)."""
    origins: Mapping[str, str]
    """Origin of the samples of `TRAIN` and `TEST`, in words."""
    read: Read
    """Function that reads the samples of each use."""
    class_names: tuple[str, ...] = ()
    """Names of the classes in the order of their numbers; empty where the data has only numbers."""
    task: Task = CLASSIFIER
    """Task that the data teaches."""
    content_sha256: str = ""
    """SHA-256 of the arrays, where they come from a function and not from a file; else ""."""
    unlabelled: frozenset[str] = frozenset()
    """Those of `TRAIN` and `TEST` that have no labels. The model's own answers replace them later;
    until then their `labels` are zeros."""
    pictures: bool = False
    """Whether the samples are decoded pictures, not arrays."""


def split_dataset(
    path: Path,
    labels: Labels,
    seed: int,
    read_all: Callable[[dict[str, Rows], Report], dict[str, Samples]],
) -> Dataset:
    """Split samples that came without a split: 80 % to train, 20 % held out.

    Args:
        path: File or folder.
        labels: Labels of all samples, int64, shape (n,).
        seed: Seed that decides the split.
        read_all: Function that reads, for each use, the given rows of all samples.
    """
    rows = dict(zip((TRAIN, TEST), held_out_split(labels, seed), strict=True))

    def read(selections: Mapping[str, Selection], report: Report) -> dict[str, Samples]:
        return read_all(
            {use: rows[selection.split][selection.rows] for use, selection in selections.items()},
            report,
        )

    whose = "each class" if labels.any() else "them"
    return Dataset(
        path,
        {name: labels[of_split] for name, of_split in rows.items()},
        {TRAIN: f"80 % of {whose}, seed {seed}", TEST: f"20 % of {whose}, seed {seed}"},
        read,
    )


def check_sample_counts(dataset: Dataset, trains: bool = True) -> Dataset:
    """Refuse a dataset with too few samples.

    Args:
        dataset: The whole data.
        trains: Whether training samples are needed (`InputForm.trains`).

    Returns:
        `dataset` itself.

    Raises:
        ConversionError: There are fewer training samples than `MIN_TRAIN_SAMPLES`, or no test
            sample.
    """
    counts = {name: len(labels) for name, labels in dataset.labels.items()}
    if not trains and counts[TEST]:
        return dataset
    counts.setdefault(TRAIN, 0)
    if counts[TRAIN] < MIN_TRAIN_SAMPLES or counts[TEST] < 1:
        raise ConversionError(
            f"{dataset.path}: has {counts[TRAIN]} training and {counts[TEST]} test samples, "
            f"expected at least {MIN_TRAIN_SAMPLES} and 1",
            "Add data; a few hundred training and test samples make the numbers mean something.",
        )
    return dataset
