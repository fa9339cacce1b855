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
from converters.data.fields import joined
from converters.data.several_data import (
    NAMES,
    check_names,
    combined,
    is_ours,
    task_of_outputs,
    weighted_parts,
)
from converters.data.split import Labels
from converters.data.target_data import (
    class_weights,
    may_lack_labels,
    splits_without_labels,
    targets_of,
    task_of,
)
from converters.data.task import AUC, REGRESSION, Task
from converters.errors import ConversionError
from converters.progress import Progress, Report

Array = npt.NDArray[Any]

_EXPECTED = "save them with np.savez(file, x_train=…, y_train=…, x_test=…, y_test=…)"


def open_arrays(path: Path, form: InputForm) -> Dataset:
    """Read an .npz with the arrays x_train, y_train, x_test and y_test.

    Args:
        path: The .npz.
        form: What the model takes.

    Raises:
        ConversionError: As for `dataset_of`; or it is not a complete .npz.
    """
    arrays, others = _load(path)
    dataset = dataset_of(path, arrays, form)
    if dataset.unlabelled and others:
        raise ConversionError(
            f"{path}: has no y_train, but arrays that kedge does not know: {', '.join(others)}",
            "call labels y_train and y_test; if these are none, leave them out",
        )
    return dataset


def dataset_of(path: Path, arrays: Mapping[str, Array], form: InputForm) -> Dataset:
    """A dataset of the arrays x_train, y_train, x_test and y_test.

    Args:
        path: Where they come from, for messages.
        arrays: Inputs: any real numbers, shape (n, *form.shape), fed as they are. Labels: class
            numbers of shape (n,) or (n, 1), or one-hot of shape (n, classes); of a regression
            numbers of the shape (n, *form.outputs). An autoencoder needs none. Where y_train is
            missing, or both are, the model's own answers stand in if the form allows it. Of several
            inputs x_train.NAME and x_test.NAME for each, of several outputs y_train.NAME and
            y_test.NAME.
        form: What the model takes and gives.

    Raises:
        ConversionError: An array is missing, of another shape, has NaN, or labels out of range; the
            message names the array.
    """
    unlabelled = splits_without_labels(arrays, form)
    if form.inputs or form.answers:
        check_names(path, arrays, form, unlabelled)
    else:
        _check_there(path, arrays, form, unlabelled)
    task = task_of_outputs(path, arrays, form) if form.answers else task_of(path, arrays, form)
    splits = (TRAIN, TEST) if form.trains else (TEST,)
    samples = {
        split: _bare(path, split, arrays, form, task)
        if split in unlabelled
        else _samples(path, split, arrays, form, task)
        for split in splits
    }
    if form.trains and TRAIN not in unlabelled:
        task = _weighted(task, form, samples[TRAIN])

    def read(wanted: Mapping[str, Selection], report: Report) -> dict[str, Samples]:
        chosen = {
            use: replace(samples[want.split].subset(want.rows), task=task)
            for use, want in wanted.items()
        }
        total = sum(len(want.rows) for want in wanted.values())
        report(Progress("read data", total, total))
        return chosen

    labels = {split: of_split.labels for split, of_split in samples.items()}
    origins = {TRAIN: "x_train", TEST: "x_test"}
    return Dataset(path, labels, origins, read, task=task, unlabelled=unlabelled)


def _check_there(
    path: Path, arrays: Mapping[str, Array], form: InputForm, unlabelled: frozenset[str]
) -> None:
    needed = [name for name in NAMES if _is_needed(name, form, unlabelled)]
    missing = [name for name in needed if name not in arrays]
    if missing:
        found = ", ".join(list(arrays)[:8]) or "none"
        raise ConversionError(
            f"{path}: array {missing[0]} is missing; its arrays are: {found}", _EXPECTED
        )


def _is_needed(name: str, form: InputForm, unlabelled: frozenset[str]) -> bool:
    kind, _, split = name.partition("_")
    is_label = kind == "y"
    if is_label and (may_lack_labels(form) or split in unlabelled):
        return False
    return form.trains or split == TEST


def _weighted(task: Task, form: InputForm, train: Samples) -> Task:
    if train.targets is not None and task.parts:
        return weighted_parts(task, form, train.targets)
    weights = class_weights(form.wish.class_weights, train.labels, form.classes, ())
    return replace(task, class_weights=weights)


def _bare(
    path: Path, split: str, arrays: Mapping[str, Array], form: InputForm, task: Task
) -> Samples:
    """Samples whose right answers are still to come."""
    inputs = _of_inputs(path, f"x_{split}", arrays, form)
    return Samples(inputs, np.zeros(len(inputs), np.int64), task=task)


def _samples(
    path: Path, split: str, arrays: Mapping[str, Array], form: InputForm, task: Task
) -> Samples:
    inputs = _of_inputs(path, f"x_{split}", arrays, form)
    name = f"y_{split}"
    if not task.parts:
        labels, targets = _answers(path, name, arrays.get(name), len(inputs), form, task)
        return Samples(inputs, labels, task=task, targets=targets)
    right: dict[str, Array] = {}
    for output, of_output in task.parts.items():
        own, given = form.of_output(output), arrays[f"{name}.{output}"]
        labels, targets = _answers(path, f"{name}.{output}", given, len(inputs), own, of_output)
        right[output] = labels if targets is None else targets
    return Samples(inputs, combined(right), task=task, targets=joined(right))


def _of_inputs(path: Path, name: str, arrays: Mapping[str, Array], form: InputForm) -> Array:
    """The inputs of a split, of several a field for each."""
    if not form.inputs:
        return _inputs(path, name, arrays[name], form.shape)
    found = {
        input_name: _inputs(path, f"{name}.{input_name}", arrays[f"{name}.{input_name}"], shape)
        for input_name, shape in form.inputs.items()
    }
    counts = {input_name: len(array) for input_name, array in found.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name}.{one} has {count}" for one, count in counts.items())
        raise ConversionError(f"{path}: {told} samples", "give every input of each sample")
    return joined(found)


def _answers(
    path: Path, name: str, given: Array | None, count: int, form: InputForm, task: Task
) -> tuple[Labels, Array | None]:
    """Labels, and the right answers of what is no classification, of one output."""
    if given is not None and given.ndim and len(given) != count:
        x = name.partition(".")[0].replace("y", "x", 1)
        raise ConversionError(
            f"{path}: {x} has {count} samples, {name} has {len(given)} labels",
            "give one label for each sample",
        )
    none = np.zeros(count, np.int64)
    if task.is_classification:
        assert given is not None
        return _labels(path, name, given, form.classes), None
    if task.kind == REGRESSION:
        assert given is not None
        return none, targets_of(path, name, given, form.outputs or ())
    if task.metric == AUC:
        return _anomalies(path, name, given, count), None
    return none, None


def _anomalies(path: Path, name: str, given: Array | None, count: int) -> Labels:
    split = name.removeprefix("y_")
    if given is None and split == TRAIN:
        return np.zeros(count, np.int64)
    if given is None:
        raise ConversionError(
            f"{path}: array {name} is missing: the metric auc needs it",
            "give 0 for each normal sample and 1 for each anomaly",
        )
    labels = _labels(path, name, given, 2)
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


def _load(path: Path) -> tuple[dict[str, Array], list[str]]:
    """The arrays that are ours, and the names of the others."""
    try:
        # NumPy leaves a damaged file open unless it was opened for it.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            if not any(is_ours(name) for name in file.files):
                found = ", ".join(file.files[:8]) or "none"
                raise ConversionError(
                    f"{path}: array x_test is missing; its arrays are: {found}", _EXPECTED
                )
            ours = {name: _array(path, name, file) for name in file.files if is_ours(name)}
            return ours, [name for name in file.files if name not in ours][:8]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ConversionError(f"{path}: is not a complete .npz: {error}", _EXPECTED) from error


def _array(path: Path, name: str, file: Any) -> Array:
    try:
        array: Array = file[name]
    except ValueError as error:  # an object array is pickled, and pickles are not loaded
        raise ConversionError(
            f"{path}: {name} cannot be read: {error}",
            "store plain numbers: rows of different lengths make an array of objects",
        ) from error
    return array


def _inputs(path: Path, name: str, array: Array, shape: tuple[int, ...]) -> Array:
    _check_numbers(path, name, array)
    if array.shape[1:] != shape or array.ndim < 1:
        hint = "shape the samples as the model takes them"
        if (*array.shape[1:], 1) == shape:
            hint = f"add the channel axis: {name}[..., np.newaxis]"
        raise ConversionError(
            f"{path}: {name} has the shape {array.shape}, the model takes (n, "
            f"{', '.join(map(str, shape))})",
            hint,
        )
    if array.dtype.kind == "f":
        wrong = np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))
        if len(wrong):
            raise ConversionError(
                f"{path}: {name} has NaN or infinity in {len(wrong)} of {len(array)} samples, the "
                f"first is sample {wrong[0]}",
                "remove or correct these samples",
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
