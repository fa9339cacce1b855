"""Arrays for a model of several inputs or outputs: matched by name, never by position. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import TEST, TRAIN, InputForm
from converters.data.fields import listed
from converters.data.split import Labels
from converters.data.target_data import class_weights, task_of
from converters.data.task import MAE, MSE, SEVERAL, Task
from converters.errors import ConversionError

Array = npt.NDArray[Any]

#: What arrays may be called; of several inputs or outputs with a dot and the name behind it.
NAMES = ("x_train", "y_train", "x_test", "y_test")
#: Combinations of classes can be divided evenly if there are so many samples of each on average.
_LEAST_SAMPLES = 10
#: Answers that are all the same have no size to go by.
_LEAST_SPREAD = 1e-6


def is_ours(name: str) -> bool:
    """Whether an array is one of a data set, by its name."""
    return name.partition(".")[0] in NAMES


def expected_names(form: InputForm, unlabelled: Collection[str] = ()) -> list[str]:
    """What the arrays for a model are called.

    Args:
        form: Of the model.
        unlabelled: Splits that have no labels.
    """
    splits = (TRAIN, TEST) if form.trains else (TEST,)
    return [
        name
        for split in splits
        for side, names in (("x", form.inputs), ("y", form.answers))
        if side == "x" or split not in unlabelled
        for name in ([f"{side}_{split}.{one}" for one in names] or [f"{side}_{split}"])
    ]


def check_names(
    path: Path, arrays: Iterable[str], form: InputForm, unlabelled: Collection[str] = ()
) -> None:
    """Refuse arrays that are not called as the model's inputs and outputs are.

    Args:
        path: For the message.
        arrays: Their names.
        form: Of a model of several inputs or outputs.
        unlabelled: Splits that have no labels.

    Raises:
        ConversionError: One is missing, or there is one more; the message has all names.
    """
    expected, found = expected_names(form, unlabelled), [name for name in arrays if is_ours(name)]
    missing = [name for name in expected if name not in found]
    splits = () if form.trains else ("train",)
    more = [
        name
        for name in found
        if name not in expected and name.partition(".")[0].partition("_")[2] not in splits
    ]
    if not missing and not more:
        return
    wrong = [f"{', '.join(names)} {what}" for names, what in
             ((missing, "missing"), (more, "not expected")) if names]  # fmt: skip
    sides = [f"the {side} {listed(names)}" for side, names in
             (("inputs", form.inputs), ("outputs", form.answers)) if names]  # fmt: skip
    raise ConversionError(
        f"{path}: {'; '.join(wrong)}: the model has {' and '.join(sides)}, the arrays of the data "
        f"are {', '.join(found) or 'none'}",
        f"give exactly {', '.join(expected)}; in a function's answer also as dicts by name",
    )


def task_of_outputs(path: Path, arrays: Mapping[str, Array], form: InputForm) -> Task:
    """The task of a model of several outputs: a part for each.

    Raises:
        ConversionError: The answers for an output are not of its form.
    """
    parts = {}
    for name in form.answers:
        y = {
            f"y_{split}": arrays[f"y_{split}.{name}"]
            for split in (TRAIN, TEST)
            if f"y_{split}.{name}" in arrays
        }
        # No x: that an answer is what goes in is for models of one input and one output.
        own = replace(form.of_output(name), shape=(), inputs={})
        nothing = np.empty(0)
        parts[name] = task_of(path, {"x_train": nothing, "x_test": nothing, **y}, own)
    return Task(SEVERAL, "", "", parts=parts)


def weighted_parts(task: Task, form: InputForm, right: Array) -> Task:
    """The task of several outputs with what their losses are multiplied with.

    Args:
        task: Of several outputs.
        form: Of the model.
        right: The right answers of the training samples, a field for each output.

    Raises:
        ConversionError: A class that is to have a weight is not there.
    """
    parts = {}
    for name, one in task.parts.items():
        own = form.of_output(name)
        if one.is_classification:
            weights = class_weights(own.wish.class_weights, right[name], own.classes, ())
            parts[name] = replace(one, class_weights=weights)
        else:
            parts[name] = replace(one, weight=_weight(one.loss, float(right[name].std())))
    return replace(task, parts=parts)


def _weight(loss: str, spread: float) -> float:
    """What brings the loss of always answering the mean to about 1: that of two classes is 0.7.

    Without it an output of large numbers would be all that is learned. What a loss of the user's
    own gives is theirs to choose.
    """
    if ":" in loss or spread < _LEAST_SPREAD:
        return 1.0
    squared = loss == MSE or loss != MAE and spread < 1
    return 1 / spread**2 if squared else 1 / spread


def combined(right: Mapping[str, Array]) -> Labels:
    """One number for each combination of classes, by which samples are divided evenly.

    Where there are too many combinations for that, the classes of the first output.

    Args:
        right: Name of each output to its labels, shape (n,), or other answers, float32.
    """
    count = len(next(iter(right.values())))
    labels = [answers for answers in right.values() if answers.dtype == np.int64]
    if not labels:
        return np.zeros(count, np.int64)
    found, numbers = np.unique(np.stack(labels, axis=1), axis=0, return_inverse=True)
    if len(found) * _LEAST_SAMPLES > count:
        numbers = labels[0]
    classes: Labels = numbers.reshape(count).astype(np.int64)
    return classes
