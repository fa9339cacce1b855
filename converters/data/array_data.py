"""Arrays of an .npz as a dataset."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import TEST, TRAIN, Dataset, InputForm, Samples, Selection
from converters.data.split import Labels
from converters.data.target_data import class_weights, kind_of, may_lack_labels, targets_of
from converters.errors import ConversionError
from converters.progress import Progress, Report
from converters.task import AUC, REGRESSION, Task

Array = npt.NDArray[Any]

_NAMES = ("x_train", "y_train", "x_test", "y_test")
_EXPECTED = "save them with np.savez(file, x_train=…, y_train=…, x_test=…, y_test=…)"


def open_arrays(path: Path, form: InputForm) -> Dataset:
    """Read an .npz with the arrays x_train, y_train, x_test and y_test.

    Args:
        path: The .npz.
        form: What the model takes.

    Raises:
        ConversionError: As for `dataset_of`; or it is no whole .npz.
    """
    return dataset_of(path, _load(path), form)


def dataset_of(path: Path, arrays: Mapping[str, Array], form: InputForm) -> Dataset:
    """A dataset of the arrays x_train, y_train, x_test and y_test.

    Args:
        path: Where they come from, for messages.
        arrays: Inputs: any real numbers, shape (n, *form.shape), fed as they are. Labels: class
            numbers of shape (n,) or (n, 1), or one-hot of shape (n, classes); of a regression
            numbers of the shape (n, *form.outputs). An autoencoder needs none.
        form: What the model takes and gives.

    Raises:
        ConversionError: An array is missing, of another shape, has NaN, or labels out of range; the
            message names the array.
    """
    needed = [name for name in _NAMES if _is_needed(name, form)]
    missing = [name for name in needed if name not in arrays]
    if missing:
        found = ", ".join(list(arrays)[:8]) or "none"
        raise ConversionError(
            f"{path}: array {missing[0]} is missing; its arrays are: {found}", _EXPECTED
        )
    kind = kind_of(path, arrays, form)
    task = form.wish.task(kind)
    splits = (TRAIN, TEST) if form.trains else (TEST,)
    samples = {split: _samples(path, split, arrays, form, task) for split in splits}
    if form.trains:
        task = _weighted(task, form, samples[TRAIN].labels)

    def read(wanted: Mapping[str, Selection], report: Report) -> dict[str, Samples]:
        chosen = {
            use: replace(samples[want.split].subset(want.rows), task=task)
            for use, want in wanted.items()
        }
        total = sum(len(want.rows) for want in wanted.values())
        report(Progress("read data", total, total))
        return chosen

    labels = {split: of_split.labels for split, of_split in samples.items()}
    return Dataset(path, labels, {TRAIN: "x_train", TEST: "x_test"}, read, task=task)


def _is_needed(name: str, form: InputForm) -> bool:
    kind, _, split = name.partition("_")
    return (form.trains or split == TEST) and (kind == "x" or not may_lack_labels(form))


def _weighted(task: Task, form: InputForm, labels: Labels) -> Task:
    weights = class_weights(form.wish.class_weights, labels, form.classes, ())
    return replace(task, class_weights=weights)


def _samples(
    path: Path, split: str, arrays: Mapping[str, Array], form: InputForm, task: Task
) -> Samples:
    x, y = f"x_{split}", f"y_{split}"
    inputs = _inputs(path, x, arrays[x], form)
    given = arrays.get(y)
    if given is not None and given.ndim and len(given) != len(inputs):
        raise ConversionError(
            f"{path}: {x} has {len(inputs)} samples, {y} has {len(given)} labels",
            "give one label for each sample",
        )
    if task.is_classification:
        return Samples(inputs, _labels(path, y, arrays[y], form.classes))
    none = np.zeros(len(inputs), np.int64)
    if task.kind == REGRESSION:
        targets = targets_of(path, y, arrays[y], form.outputs or ())
        return Samples(inputs, none, task=task, targets=targets)
    if task.metric == AUC:
        return Samples(inputs, _anomalies(path, split, given, len(inputs)), task=task)
    return Samples(inputs, none, task=task)


def _anomalies(path: Path, split: str, given: Array | None, count: int) -> Labels:
    if given is None and split == TRAIN:
        return np.zeros(count, np.int64)
    if given is None:
        raise ConversionError(
            f"{path}: array y_{split} is missing: the metric auc needs it",
            "give 0 for each normal sample and 1 for each anomaly",
        )
    labels = _labels(path, f"y_{split}", given, 2)
    if split == TRAIN and labels.any():
        raise ConversionError(
            f"{path}: y_train calls {int(labels.sum())} samples anomalies (1)",
            "leave them out: an anomaly detector learns from normal samples only",
        )
    if split == TEST and len(set(labels.tolist())) < 2:
        raise ConversionError(
            f"{path}: y_test has one kind of samples only: auc tells normal ones (0) from "
            "anomalies (1)",
            "add samples of the other kind, or choose the metric mse",
        )
    return labels


def _load(path: Path) -> dict[str, Array]:
    try:
        # NumPy leaves a damaged file open unless it was opened for it.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            if not set(_NAMES) & set(file.files):
                found = ", ".join(file.files[:8]) or "none"
                raise ConversionError(
                    f"{path}: array x_test is missing; its arrays are: {found}", _EXPECTED
                )
            return {name: _array(path, name, file) for name in _NAMES if name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ConversionError(f"{path}: is no whole .npz: {error}", _EXPECTED) from error


def _array(path: Path, name: str, file: Any) -> Array:
    try:
        array: Array = file[name]
    except ValueError as error:  # an object array is pickled, and pickles are not loaded
        raise ConversionError(
            f"{path}: {name} cannot be read: {error}",
            "store plain numbers: rows of different lengths make an array of objects",
        ) from error
    return array


def _inputs(path: Path, name: str, array: Array, form: InputForm) -> Array:
    _check_numbers(path, name, array)
    if array.shape[1:] != form.shape or array.ndim < 1:
        hint = "shape the samples as the model takes them"
        if (*array.shape[1:], 1) == form.shape:
            hint = f"add the channel axis: {name}[..., np.newaxis]"
        raise ConversionError(
            f"{path}: {name} has the shape {array.shape}, the model takes (n, "
            f"{', '.join(map(str, form.shape))})",
            hint,
        )
    if array.dtype.kind == "f":
        wrong = np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))
        if len(wrong):
            raise ConversionError(
                f"{path}: {name} has NaN or infinity in {len(wrong)} of {len(array)} samples, the "
                f"first is sample {wrong[0]}",
                "remove or mend these samples",
            )
    return array


def _check_numbers(path: Path, name: str, array: Array) -> None:
    if array.dtype.kind not in "biuf":
        raise ConversionError(
            f"{path}: {name} is of the type {array.dtype}, expected numbers", _EXPECTED
        )


def _labels(path: Path, name: str, array: Array, classes: int) -> Labels:
    _check_numbers(path, name, array)
    if array.ndim == 2 and array.shape[1] == classes and classes > 1:
        array = _from_one_hot(path, name, array)
    elif array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ConversionError(
            f"{path}: {name} has the shape {array.shape}, expected (n,), (n, 1) or one-hot "
            f"(n, {classes})",
            "give one class number for each sample",
        )
    labels: Labels = np.nan_to_num(array, nan=-1).astype(np.int64)
    wrong = np.flatnonzero((labels != array) | (labels < 0) | (labels >= classes))
    if len(wrong):
        raise ConversionError(
            f"{path}: {name} has the label {array[wrong[0]]} at sample {wrong[0]}, the model tells "
            f"apart {classes} classes: whole numbers from 0 to {classes - 1}",
            "number the classes from 0, as in training",
        )
    return labels


def _from_one_hot(path: Path, name: str, array: Array) -> Array:
    is_one_hot = (array.sum(axis=1) == 1) & (array.max(axis=1) == 1)
    if not is_one_hot.all():
        raise ConversionError(
            f"{path}: {name} is not one-hot at sample {np.flatnonzero(~is_one_hot)[0]}: a row must "
            "have a single 1",
            "give one class number for each sample",
        )
    labels: Array = array.argmax(axis=1)
    return labels
