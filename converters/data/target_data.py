"""The meaning of y: its task, and its numbers as answers to learn. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import TEST, TRAIN, InputForm
from converters.data.pixel_labels import are_masks
from converters.data.split import Labels
from converters.data.task import (
    AUC,
    BALANCED,
    CLASSIFICATION,
    LOGITS_CROSS_ENTROPY,
    MAE,
    MSE,
    R2,
    RECONSTRUCTION,
    REGRESSION,
    SEGMENTATION,
    Task,
)
from converters.errors import ConversionError

Array = npt.NDArray[Any]

#: Largest difference from 1 of the sum of a row of soft labels.
_SUM_TOLERANCE = 1e-3


def may_lack_labels(form: InputForm) -> bool:
    """Whether the model may be an autoencoder, which needs no y."""
    kind = form.wish.kind
    return kind == RECONSTRUCTION or not kind and form.outputs == form.shape


def splits_without_labels(arrays: Collection[str], form: InputForm) -> frozenset[str]:
    """Splits that have no y, so that the model's own answers replace the labels.

    Args:
        arrays: Names of the arrays.
        form: Form of the model's data.

    Returns:
        None, `TRAIN`, or `TRAIN` and `TEST`. Never `TEST` alone: who has labels to learn from also
        has labels to judge by, so a missing y_test is then an error.
    """
    if may_lack_labels(form) or form.probabilities is None:
        return frozenset()
    names = {name.partition(".")[0] for name in arrays}
    lacking = frozenset(split for split in (TRAIN, TEST) if f"y_{split}" not in names)
    return lacking if TRAIN in lacking else frozenset()


def infer_task(path: Path, arrays: Mapping[str, Array], form: InputForm) -> Task:
    """Infer the task of one output of a model: its loss and its metric.

    Args:
        path: File or function, for messages.
        arrays: x_train, and y_train and y_test where there are any.
        form: Form of the model's data, with this output alone.

    Raises:
        ConversionError: The shape of the output does not fit the task.
    """
    kind = _choose_kind(path, arrays, form)
    if kind == SEGMENTATION and not form.wish.loss and form.probabilities is not True:
        form = replace(form, wish=replace(form.wish, loss=LOGITS_CROSS_ENTROPY))
    if not splits_without_labels(arrays, form):
        return form.wish.task(kind)
    return _task_by_own_answers(path, kind, form)


def _task_by_own_answers(path: Path, kind: str, form: InputForm) -> Task:
    """Task where the model's own answers count as right.

    A regression is then judged by R2: the error of the original model is 0, and no loss can be
    expressed as a share of 0.

    Args:
        path: File or function, for messages.
        kind: Kind of the task.
        form: Form of the model's data, with this output alone.

    Raises:
        ConversionError: The recipe contains a wish that needs labels.
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
                "Give labels; or leave that out: then the model's own answers count as right, "
                "by accuracy or r2, or by a metric of your own with higher_is_better = true.",
            )
    return replace(wish.task(kind), own_answers=True)


def _choose_kind(path: Path, arrays: Mapping[str, Array], form: InputForm) -> str:
    """Kind of the task: that of the recipe, else the kind that the data implies.

    Floats that are no class numbers imply a regression. A y that equals x implies a reconstruction,
    and so does a missing y if the model's output has the shape of its input. Without any y,
    probabilities imply a classification, other answers a regression.
    """
    outputs = form.outputs
    kind = form.wish.kind or _plain_kind(arrays, form)
    if kind == RECONSTRUCTION and outputs != form.shape:
        raise ConversionError(
            f"{path}: the task is {kind}, but the model takes "
            f"{dict(form.inputs) or form.shape} and gives {outputs}",
            "A reconstruction gives what it takes; choose another kind in [task]",
        )
    if kind == CLASSIFICATION and outputs is not None and len(outputs) != 1:
        raise ConversionError(
            f"{path}: the model gives {outputs} for each sample, expected one row of scores "
            "(classes,) for class labels",
            "For a class of each pixel give y as class numbers (n, height, width); for another "
            "task give y as floats of that shape.",
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
    if not numbers and len(outputs) > 1 and outputs[-1] > 1 and form.probabilities is True:
        return SEGMENTATION
    if not numbers:
        is_scores = form.probabilities is True and len(outputs) == 1
        return CLASSIFICATION if is_scores else REGRESSION
    if all(are_masks(array, outputs) for array in numbers):
        return SEGMENTATION
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
    """Whether floats (n, outputs) or (n,) are 0 and 1, one-hot, or soft labels that add up to 1."""
    finite = np.nan_to_num(array, nan=0.0)
    if outputs == 1:
        return bool(np.isin(finite, (0.0, 1.0)).all())
    sums = finite.sum(axis=1)
    return bool((finite >= 0).all() and (np.abs(sums - 1) < _SUM_TOLERANCE).all())


def regression_targets(
    path: Path, name: str, array: Array, outputs: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """Check the right answers of a regression and convert them to float32.

    Args:
        path: File or function, for messages.
        name: Name of the array, for messages.
        array: Real numbers of shape (n, *outputs); also (n,) where `outputs` is (1,).
        outputs: Shape of one answer of the model.

    Returns:
        float32, shape (n, *outputs), finite.

    Raises:
        ConversionError: The array has another shape, no numbers, or NaN or infinity.
    """
    if array.dtype.kind not in "biuf" or not _fits(array, outputs):
        raise ConversionError(
            f"{path}: {name} has the shape {array.shape} and the type {array.dtype}, the model "
            f"gives {outputs} for each sample",
            f"Give numbers of the shape (n, {', '.join(map(str, outputs))})",
        )
    targets = array.reshape(len(array), *outputs).astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(targets.reshape(len(targets), -1)).all(axis=1))
    if len(wrong):
        raise ConversionError(
            f"{path}: {name} has NaN or infinity in {len(wrong)} of {len(array)} samples, the "
            f"first is sample {wrong[0]}",
            "Remove or correct these samples.",
        )
    return targets


def class_weights(
    wish: str | Mapping[str, float], labels: Labels, classes: int, names: tuple[str, ...]
) -> tuple[float, ...]:
    """Weight of each class in the loss.

    `BALANCED` is n / (classes * n_c), as in scikit-learn's `compute_class_weight`, where n_c is the
    number of samples of the class and `classes` counts those with samples: the samples of every
    class have the same weight in sum, and the mean weight of a sample is 1.

    Args:
        wish: `BALANCED`, or number or name of a class to its weight; other classes have 1.
        labels: Labels of the training samples, int64, shape (n,).
        classes: Number of classes.
        names: Names of the classes, in the order of their numbers; empty where they have none.

    Returns:
        One weight a class, 0 for a class without samples under `BALANCED`; empty where the recipe
        asks for no weights.

    Raises:
        ConversionError: The table names a class that does not exist.
    """
    if not wish:
        return ()
    if wish == BALANCED:
        counts = np.bincount(labels, minlength=classes)
        classes_present = int((counts > 0).sum())
        return tuple(len(labels) / (classes_present * n) if n else 0.0 for n in counts.tolist())
    assert not isinstance(wish, str)
    numbers = {name: number for number, name in enumerate(names)}
    numbers |= {str(number): number for number in range(classes)}
    unknown = [name for name in wish if name not in numbers]
    if unknown:
        raise ConversionError(
            f"class_weights: {unknown[0]!r} is not a class",
            f"Name classes by their folder or their number, 0 to {classes - 1}",
        )
    weights = [1.0] * classes
    for name, weight in wish.items():
        weights[numbers[name]] = float(weight)
    return tuple(weights)
