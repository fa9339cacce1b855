"""What the y of arrays means: which task it is for, and its numbers as answers to learn. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import TEST, TRAIN, InputForm
from converters.data.split import Labels
from converters.data.task import (
    AUC,
    BALANCED,
    CLASSIFICATION,
    MAE,
    MSE,
    R2,
    RECONSTRUCTION,
    REGRESSION,
    Task,
)
from converters.errors import ConversionError

Array = npt.NDArray[Any]

#: Rows of soft labels add up to 1 within this.
_SUM_TOLERANCE = 1e-3


def may_lack_labels(form: InputForm) -> bool:
    """Whether the model may be an autoencoder, which needs no y."""
    kind = form.wish.kind
    return kind == RECONSTRUCTION or not kind and form.outputs == form.shape


def splits_without_labels(arrays: Collection[str], form: InputForm) -> frozenset[str]:
    """Which splits have no y, so that the model's own answers stand in for labels.

    Args:
        arrays: Their names.
        form: Of the model.

    Returns:
        `TRAIN`, or `TRAIN` and `TEST`: who has labels to learn from has some to judge by, too, and
        a y_test alone that is missing is missed.
    """
    if may_lack_labels(form) or form.probabilities is None:
        return frozenset()
    there = {name.partition(".")[0] for name in arrays}
    lacking = frozenset(split for split in (TRAIN, TEST) if f"y_{split}" not in there)
    return lacking if TRAIN in lacking else frozenset()


def task_of(path: Path, arrays: Mapping[str, Array], form: InputForm) -> Task:
    """What one output of a model learns and is judged by.

    Args:
        path: For messages.
        arrays: x_train, and y_train and y_test where they are.
        form: Of the model and this output.

    Raises:
        ConversionError: The output is not one of such a task.
    """
    kind = _kind_of(path, arrays, form)
    if not splits_without_labels(arrays, form):
        return form.wish.task(kind)
    return _task_by_own_answers(path, kind, form)


def _task_by_own_answers(path: Path, kind: str, form: InputForm) -> Task:
    """The task where what the model itself answers counts as right.

    A regression is then judged by R2: of an error the model would have 0, and no loss is a share of
    that.

    Args:
        path: For messages.
        kind: Of the task.
        form: Of the model and this output.

    Raises:
        ConversionError: The recipe wishes what needs labels.
    """
    wish = form.wish
    if kind == REGRESSION and not wish.metric:
        wish = replace(wish, metric=R2)
    an_error = ":" in wish.metric and not wish.higher_is_better
    for what, needs_labels in (
        (f"the metric {wish.metric}", wish.metric in (MAE, MSE, AUC) or an_error),
        ("class_weights", bool(wish.class_weights)),
    ):
        if needs_labels:
            raise ConversionError(
                f"{path}: has no labels to train with, which {what} of the recipe needs",
                "give labels; or leave that out: then the model's own answers count as right, "
                "judged by accuracy or r2, or by a metric of your own with higher_is_better = true",
            )
    return replace(wish.task(kind), own_answers=True)


def _kind_of(path: Path, arrays: Mapping[str, Array], form: InputForm) -> str:
    """As the recipe says, or where it is plain from the data.

    Floats that are no class numbers are a regression; a y that is x, or none where the model gives
    what it takes, a reconstruction. Without any y probabilities are of classes, all else numbers.
    """
    outputs = form.outputs
    kind = form.wish.kind or _plain_kind(arrays, form)
    if kind == RECONSTRUCTION and outputs != form.shape:
        raise ConversionError(
            f"{path}: the task is {kind}, but the model takes "
            f"{dict(form.inputs) or form.shape} and gives {outputs}",
            "a reconstruction gives what it takes; choose another kind in [task]",
        )
    if kind == CLASSIFICATION and outputs is not None and len(outputs) != 1:
        raise ConversionError(
            f"{path}: the model gives {outputs} for each sample, expected one row of scores "
            "(classes,) for class labels",
            "for another task give y as floats of that shape",
        )
    return kind


def _plain_kind(arrays: Mapping[str, Array], form: InputForm) -> str:
    outputs = form.outputs
    if outputs is None:
        return CLASSIFICATION
    x, y = arrays.get("x_train"), arrays.get("y_train")
    if outputs == form.shape and (y is None or x is not None and np.array_equal(x, y)):
        return RECONSTRUCTION
    numbers = [array for array in (y, arrays.get("y_test")) if array is not None]
    if not numbers:
        return CLASSIFICATION if form.probabilities is True else REGRESSION
    if any(array.dtype.kind != "f" for array in numbers):
        return CLASSIFICATION
    if not all(_fits(array, outputs) for array in numbers):
        return CLASSIFICATION
    if len(outputs) == 1 and all(_are_classes(array, outputs[0]) for array in numbers):
        return CLASSIFICATION
    return REGRESSION


def _fits(array: Array, outputs: tuple[int, ...]) -> bool:
    return array.shape[1:] == outputs or outputs == (1,) and array.ndim == 1


def _are_classes(array: Array, outputs: int) -> bool:
    """Whether floats are 0 and 1, one-hot, or shares of classes."""
    finite = np.nan_to_num(array, nan=0.0)
    if outputs == 1:
        return bool(np.isin(finite, (0.0, 1.0)).all())
    sums = finite.sum(axis=1)
    return bool((finite >= 0).all() and (np.abs(sums - 1) < _SUM_TOLERANCE).all())


def targets_of(
    path: Path, name: str, array: Array, outputs: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """The right answers of a regression: float32, shape (n, *outputs).

    Raises:
        ConversionError: They are of another shape, no numbers, or not finite.
    """
    if array.dtype.kind not in "biuf" or not _fits(array, outputs):
        raise ConversionError(
            f"{path}: {name} has the shape {array.shape} and the type {array.dtype}, the model "
            f"gives {outputs} for each sample",
            f"give numbers of the shape (n, {', '.join(map(str, outputs))})",
        )
    targets = array.reshape(len(array), *outputs).astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(targets.reshape(len(targets), -1)).all(axis=1))
    if len(wrong):
        raise ConversionError(
            f"{path}: {name} has NaN or infinity in {len(wrong)} of {len(array)} samples, the "
            f"first is sample {wrong[0]}",
            "remove or correct these samples",
        )
    return targets


def class_weights(
    wished: str | Mapping[str, float], labels: Labels, classes: int, names: tuple[str, ...]
) -> tuple[float, ...]:
    """Of each class its weight in the loss; empty where none is wished.

    `BALANCED` is n / (classes * n_c), as in scikit-learn's `compute_class_weight`: every class has
    the same weight in sum, and a sample 1 on average.

    Args:
        wished: `BALANCED`, or a class, by number or name, to its weight; others have 1.
        labels: Of the training samples, int64.
        classes: How many there are.
        names: Of the classes, where they have any.

    Raises:
        ConversionError: A class of the table is not there.
    """
    if not wished:
        return ()
    if wished == BALANCED:
        counts = np.bincount(labels, minlength=classes)
        there = int((counts > 0).sum())
        return tuple(len(labels) / (there * n) if n else 0.0 for n in counts.tolist())
    assert not isinstance(wished, str)
    numbers = {name: number for number, name in enumerate(names)}
    numbers |= {str(number): number for number in range(classes)}
    unknown = [name for name in wished if name not in numbers]
    if unknown:
        raise ConversionError(
            f"class_weights: {unknown[0]!r} is not a class",
            f"name classes by their folder or their number, 0 to {classes - 1}",
        )
    weights = [1.0] * classes
    for name, weight in wished.items():
        weights[numbers[name]] = float(weight)
    return tuple(weights)
