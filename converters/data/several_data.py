"""Arrays for a model of several inputs or outputs: matched by name, never by position. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import TEST, TRAIN, InputForm
from converters.data.fields import quote_names
from converters.data.split import Labels
from converters.data.target_data import class_weights, infer_task
from converters.data.task import MAE, MSE, SEVERAL, Task
from converters.errors import ConversionError

Array = npt.NDArray[Any]

#: Names of the arrays; for several inputs or outputs a dot and the name of each follow.
NAMES = ("x_train", "y_train", "x_test", "y_test")
#: Mean number of samples for each combination of classes that an even split needs.
_LEAST_SAMPLES = 10
#: Smallest standard deviation of answers that a weight is computed from; below, they are constant.
_LEAST_SPREAD = 1e-6


def is_data_array(name: str) -> bool:
    """Whether the name is that of an array of a data set."""
    return name.partition(".")[0] in NAMES


def expected_names(form: InputForm, unlabelled_splits: Collection[str] = ()) -> list[str]:
    """Names of the arrays that a model needs.

    Args:
        form: Form of the model's data.
        unlabelled_splits: Splits that have no labels.
    """
    splits = (TRAIN, TEST) if form.trains else (TEST,)
    return [
        name
        for split in splits
        for side, names in (("x", form.inputs), ("y", form.answers))
        if side == "x" or split not in unlabelled_splits
        for name in ([f"{side}_{split}.{one}" for one in names] or [f"{side}_{split}"])
    ]


def check_names(
    path: Path, arrays: Iterable[str], form: InputForm, unlabelled_splits: Collection[str] = ()
) -> None:
    """Refuse arrays whose names are not those of the model's inputs and outputs.

    Args:
        path: File or function, for the message.
        arrays: Names of the arrays.
        form: Form of the data of a model of several inputs or outputs.
        unlabelled_splits: Splits that have no labels.

    Raises:
        ConversionError: An array is missing, or there is one too many; the message has all names.
    """
    expected, present = (
        expected_names(form, unlabelled_splits),
        [name for name in arrays if is_data_array(name)],
    )
    missing = [name for name in expected if name not in present]
    splits = () if form.trains else ("train",)
    more = [
        name
        for name in present
        if name not in expected and name.partition(".")[0].partition("_")[2] not in splits
    ]
    if not missing and not more:
        return
    wrong = [f"{', '.join(names)} {what}" for names, what in
             ((missing, "missing"), (more, "not expected")) if names]  # fmt: skip
    sides = [f"the {side} {quote_names(names)}" for side, names in
             (("inputs", form.inputs), ("outputs", form.answers)) if names]  # fmt: skip
    raise ConversionError(
        f"{path}: {'; '.join(wrong)}: the model has {' and '.join(sides)}, the arrays of the data "
        f"are {', '.join(present) or 'none'}",
        f"Give exactly {', '.join(expected)}; in a function's answer also as dicts by name.",
    )


def infer_output_tasks(path: Path, arrays: Mapping[str, Array], form: InputForm) -> Task:
    """Infer the task of a model of several outputs: a part for each.

    Args:
        path: File or function, for messages.
        arrays: Name to array; y_train.NAME and y_test.NAME of each output are read if present.
        form: Form of the model's data.

    Raises:
        ConversionError: The answers for an output do not have its shape.
    """
    parts = {}
    for name in form.answers:
        y = {
            f"y_{split}": arrays[f"y_{split}.{name}"]
            for split in (TRAIN, TEST)
            if f"y_{split}.{name}" in arrays
        }
        # Without x: only a model of one input and one output can be an autoencoder.
        own = replace(form.for_output(name), shape=(), inputs={})
        nothing = np.empty(0)
        parts[name] = infer_task(path, {"x_train": nothing, "x_test": nothing, **y}, own)
    return Task(SEVERAL, "", "", parts=parts)


def weight_tasks(task: Task, form: InputForm, right: Array) -> Task:
    """Add the weights of the losses to the task of several outputs.

    Args:
        task: Task of several outputs.
        form: Form of the model's data.
        right: Right answers of the training samples, shape (n,), a field for each output.

    Raises:
        ConversionError: The recipe gives a weight to a class that does not exist.
    """
    parts = {}
    for name, part in task.parts.items():
        own = form.for_output(name)
        if part.is_classification:
            weights = class_weights(own.wish.class_weights, right[name], own.classes, ())
            parts[name] = replace(part, class_weights=weights)
        else:
            parts[name] = replace(part, weight=_weight(part.loss, float(right[name].std())))
    return replace(task, parts=parts)


def _weight(loss: str, spread: float) -> float:
    """Weight that brings the loss of a model which always answers the mean to about 1.

    (The loss of such a model for two classes is 0.7.) Without the weight, an output of large
    numbers would dominate the training. A loss function of the user has the weight 1: its scale is
    the user's choice.
    """
    if ":" in loss or spread < _LEAST_SPREAD:
        return 1.0
    squared = loss == MSE or loss != MAE and spread < 1
    return 1 / spread**2 if squared else 1 / spread


def combine_labels(right: Mapping[str, Array]) -> Labels:
    """Number the combinations of classes, so that samples can be divided evenly by them.

    If there are too many combinations, the classes of the first classifying output are used.

    Args:
        right: Name of each output to its labels, int64, shape (n,), or to its answers of a
            regression, float32, shape (n, ...).

    Returns:
        int64, shape (n,); zeros if no output is a classification.
    """
    count = len(next(iter(right.values())))
    labels = [answers for answers in right.values() if answers.dtype == np.int64]
    if not labels:
        return np.zeros(count, np.int64)
    combinations, numbers = np.unique(np.stack(labels, axis=1), axis=0, return_inverse=True)
    if len(combinations) * _LEAST_SAMPLES > count:
        numbers = labels[0]
    classes: Labels = numbers.reshape(count).astype(np.int64)
    return classes
