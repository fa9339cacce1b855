"""Arrays of an .npz as a dataset."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.array_file import ARRAY_DAMAGE, array_of, check_array_sizes
from converters.data.dataset import TEST, TRAIN, Dataset, InputForm, Samples, Selection
from converters.data.fields import join_fields
from converters.data.label_forms import classes_of_one_hot, number_names, soft_labels
from converters.data.layout import arrange_arrays, check_input_shape
from converters.data.pixel_labels import mask_targets
from converters.data.several_data import (
    NAMES,
    check_names,
    combine_labels,
    infer_output_tasks,
    is_data_array,
    weight_tasks,
)
from converters.data.split import Labels
from converters.data.target_data import (
    class_weights,
    infer_task,
    may_lack_labels,
    regression_targets,
    splits_without_labels,
)
from converters.data.task import AUC, REGRESSION, SEGMENTATION, Task
from converters.data.whole_number_arrays import check_whole_numbers
from converters.errors import ConversionError
from converters.progress import Progress, Report

Array = npt.NDArray[Any]

_EXPECTED = "Save them with np.savez(file, x_train=…, y_train=…, x_test=…, y_test=…)"


def open_arrays(path: Path, form: InputForm) -> Dataset:
    """Read an .npz with the arrays x_train, y_train, x_test and y_test.

    Args:
        path: The .npz.
        form: Shapes that the model takes and gives, and the wishes of the recipe.

    Raises:
        ConversionError: The file is not a complete .npz, or its arrays do not fit the model (the
            cases of `dataset_from_arrays`).
    """
    arrays, others = _load(path)
    dataset = dataset_from_arrays(path, arrays, form)
    if dataset.unlabelled and others:
        raise ConversionError(
            f"{path}: has no y_train, but arrays that kedge does not know: {', '.join(others)}",
            "Call labels y_train and y_test; if these are none, leave them out.",
        )
    return dataset


def dataset_from_arrays(path: Path, arrays: Mapping[str, Array], form: InputForm) -> Dataset:
    """Make a dataset of the arrays x_train, y_train, x_test and y_test.

    Args:
        path: Origin of the arrays, for messages.
        arrays: Inputs: any real numbers, shape (n, *form.shape), or that of the source where
            `form.axes` has one; the model gets them unchanged.
            Labels: class numbers of shape (n,) or (n, 1), 0 to classes - 1, or one-hot of shape
            (n, classes); for a regression numbers of shape (n, *form.outputs). An autoencoder needs
            no labels. If y_train is missing, or both y_train and y_test, the model's own answers
            replace the labels where the form allows it. A model of several inputs has x_train.NAME
            and x_test.NAME for each, one of several outputs y_train.NAME and y_test.NAME.
        form: Shapes that the model takes and gives, and the wishes of the recipe.

    Raises:
        ConversionError: An array is missing or has another shape, NaN, or labels out of range. The
            message names the array.
    """
    arrays = arrange_arrays(path, arrays, form)
    arrays, class_names = _numbered(path, arrays, form)
    unlabelled = splits_without_labels(arrays, form)
    if form.inputs or form.answers:
        check_names(path, arrays, form, unlabelled)
    else:
        check_names_present(path, arrays, form, unlabelled)
    task = (
        infer_output_tasks(path, arrays, form) if form.answers else infer_task(path, arrays, form)
    )
    splits = (TRAIN, TEST) if form.trains else (TEST,)
    samples = {
        split: _unlabelled_samples(path, split, arrays, form, task)
        if split in unlabelled
        else _labelled_samples(path, split, arrays, form, task)
        for split in splits
    }
    if form.trains and TRAIN not in unlabelled:
        task = _add_class_weights(task, form, samples[TRAIN], class_names)
        task = replace(task, soft_labels=samples[TRAIN].shares is not None)

    def read(selections: Mapping[str, Selection], report: Report) -> dict[str, Samples]:
        samples_of_use = {
            use: replace(samples[selection.split].subset(selection.rows), task=task)
            for use, selection in selections.items()
        }
        total = sum(len(selection.rows) for selection in selections.values())
        report(Progress("read data", total, total))
        return samples_of_use

    labels = {split: of_split.labels for split, of_split in samples.items()}
    origins = {TRAIN: "x_train", TEST: "x_test"}
    return Dataset(path, labels, origins, read, class_names, task, unlabelled=unlabelled)


def _numbered(
    path: Path, arrays: Mapping[str, Array], form: InputForm
) -> tuple[Mapping[str, Array], tuple[str, ...]]:
    """Arrays with numbers in the place of class names, and the names of a single output."""
    if not form.answers:
        return number_names(path, arrays, form.classes)
    for output in form.answers:
        arrays, _ = number_names(path, arrays, form.for_output(output).classes, output)
    return arrays, ()


def check_names_present(
    path: Path, names: Collection[str], form: InputForm, unlabelled_splits: Collection[str]
) -> None:
    """Refuse data of which an array is missing, for a model of one input and one output.

    Args:
        path: Origin of the arrays, for messages.
        names: Names of the arrays.
        form: Form of the model's data.
        unlabelled_splits: Splits that have no labels.

    Raises:
        ConversionError: An array is missing.
    """
    needed = [name for name in NAMES if _is_needed(name, form, unlabelled_splits)]
    for name in needed:
        check_present(path, name, names)


def check_present(path: Path, name: str, names: Collection[str]) -> None:
    """Refuse data of which an array is missing.

    Args:
        path: Origin of the arrays, for messages.
        name: Name of the array.
        names: Names of the arrays that are there.

    Raises:
        ConversionError: The array is missing.
    """
    if name not in names:
        names_found = ", ".join(list(names)[:8]) or "none"
        raise ConversionError(
            f"{path}: array {name} is missing; its arrays are: {names_found}", _EXPECTED
        )


def _is_needed(name: str, form: InputForm, unlabelled: Collection[str]) -> bool:
    kind, _, split = name.partition("_")
    is_label = kind == "y"
    if is_label and (may_lack_labels(form) or split in unlabelled):
        return False
    return form.trains or split == TEST


def _add_class_weights(
    task: Task, form: InputForm, train: Samples, class_names: tuple[str, ...]
) -> Task:
    if train.targets is not None and task.parts:
        return weight_tasks(task, form, train.targets)
    weights = class_weights(form.wish.class_weights, train.labels, form.classes, class_names)
    return replace(task, class_weights=weights)


def _unlabelled_samples(
    path: Path, split: str, arrays: Mapping[str, Array], form: InputForm, task: Task
) -> Samples:
    """Samples with zeros as labels, until the model's own answers replace them."""
    inputs = _input_samples(path, f"x_{split}", arrays, form)
    zeros = np.zeros(len(inputs), np.int64)
    return Samples(inputs, zeros, task=task, dtypes=form.dtypes)


def _labelled_samples(
    path: Path, split: str, arrays: Mapping[str, Array], form: InputForm, task: Task
) -> Samples:
    inputs = _input_samples(path, f"x_{split}", arrays, form)
    name = f"y_{split}"
    if not task.parts:
        array = arrays.get(name)
        labels, targets = _answers(path, name, array, len(inputs), form, task)
        is_soft = array is not None and task.is_classification
        shares = soft_labels(array, form.classes) if is_soft and array is not None else None
        return Samples(
            inputs, labels, task=task, targets=targets, dtypes=form.dtypes, shares=shares
        )
    right: dict[str, Array] = {}
    for output, of_output in task.parts.items():
        own, array = form.for_output(output), arrays[f"{name}.{output}"]
        labels, targets = _answers(path, f"{name}.{output}", array, len(inputs), own, of_output)
        right[output] = labels if targets is None else targets
    labels, targets = combine_labels(right), join_fields(right)
    return Samples(inputs, labels, task=task, targets=targets, dtypes=form.dtypes)


def _input_samples(path: Path, name: str, arrays: Mapping[str, Array], form: InputForm) -> Array:
    """Inputs of one split: shape (n, *shape); for several inputs shape (n,), a field for each."""
    if not form.inputs:
        return _inputs(path, name, arrays[name], form.shape, form.dtypes.get("", ""))
    inputs = {
        input_name: _inputs(
            path,
            f"{name}.{input_name}",
            arrays[f"{name}.{input_name}"],
            shape,
            form.dtypes.get(input_name, ""),
        )
        for input_name, shape in form.inputs.items()
    }
    counts = {input_name: len(array) for input_name, array in inputs.items()}
    if len(set(counts.values())) > 1:
        counts_text = ", ".join(
            f"{name}.{input_name} has {count}" for input_name, count in counts.items()
        )
        raise ConversionError(f"{path}: {counts_text} samples", "Give every input of each sample.")
    return join_fields(inputs)


def _answers(
    path: Path, name: str, array: Array | None, count: int, form: InputForm, task: Task
) -> tuple[Labels, Array | None]:
    """Labels (n,) of one output, and targets (n, *outputs) if it is a regression."""
    if array is not None and array.ndim and len(array) != count:
        x = name.partition(".")[0].replace("y", "x", 1)
        raise ConversionError(
            f"{path}: {x} has {count} samples, {name} has {len(array)} labels",
            "Give one label for each sample.",
        )
    none = np.zeros(count, np.int64)
    if task.is_classification:
        assert array is not None
        return _labels(path, name, array, form.classes), None
    if task.kind == SEGMENTATION:
        assert array is not None
        return none, mask_targets(path, name, array, form.outputs or ())
    if task.kind == REGRESSION:
        assert array is not None
        return none, regression_targets(path, name, array, form.outputs or ())
    if task.metric == AUC:
        return _anomalies(path, name, array, count), None
    return none, None


def _anomalies(path: Path, name: str, array: Array | None, count: int) -> Labels:
    split = name.removeprefix("y_")
    if array is None and split == TRAIN:
        return np.zeros(count, np.int64)
    if array is None:
        raise ConversionError(
            f"{path}: array {name} is missing: the metric auc needs it",
            "Give 0 for each normal sample and 1 for each anomaly.",
        )
    labels = _labels(path, name, array, 2)
    if split == TRAIN and labels.any():
        raise ConversionError(
            f"{path}: y_train calls {int(labels.sum())} samples anomalies (1)",
            "Leave them out: an anomaly detector learns from normal samples only.",
        )
    if split == TEST and len(set(labels.tolist())) < 2:
        raise ConversionError(
            f"{path}: y_test has one kind of samples only: auc tells normal ones (0) from "
            "anomalies (1)",
            "Add samples of the other kind, or choose the metric mse.",
        )
    return labels


def _load(path: Path) -> tuple[dict[str, Array], list[str]]:
    """Load the arrays of a data set, and the names of up to 8 other arrays."""
    try:
        # NumPy leaves a damaged file open unless it was opened for it.
        with path.open("rb") as stream:
            check_array_sizes(stream)
            with np.load(stream, allow_pickle=False) as file:
                if not any(is_data_array(name) for name in file.files):
                    names_found = ", ".join(file.files[:8]) or "none"
                    raise ConversionError(
                        f"{path}: array x_test is missing; its arrays are: {names_found}", _EXPECTED
                    )
                ours = {
                    name: _array(path, name, file) for name in file.files if is_data_array(name)
                }
                return ours, [name for name in file.files if name not in ours][:8]
    except ARRAY_DAMAGE as error:
        raise ConversionError(f"{path}: is not a complete .npz: {error}", _EXPECTED) from error


def _array(path: Path, name: str, file: Any) -> Array:
    try:
        array: Array = array_of(file, name)
    except ValueError as error:  # An array of objects is pickled; pickles are not loaded.
        raise ConversionError(
            f"{path}: {name} cannot be read: {error}",
            "Store plain numbers: rows of different lengths make an array of objects.",
        ) from error
    return array


def _inputs(
    path: Path, name: str, array: Array, shape: tuple[int, ...], whole_numbers: str
) -> Array:
    """Inputs of one array; `whole_numbers` is the type of an input of whole numbers, else ""."""
    _check_numbers(path, name, array)
    check_input_shape(path, name, array.shape, shape)
    if array.dtype.kind == "f":
        wrong = np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))
        if len(wrong):
            raise ConversionError(
                f"{path}: {name} has NaN or infinity in {len(wrong)} of {len(array)} samples, the "
                f"first is sample {wrong[0]}",
                "Remove or correct these samples.",
            )
    if whole_numbers:
        check_whole_numbers(path, name, array, whole_numbers)
    return array


def _check_numbers(path: Path, name: str, array: Array) -> None:
    if array.dtype.kind not in "biuf":
        raise ConversionError(
            f"{path}: {name} is of the type {array.dtype}, expected numbers", _EXPECTED
        )


def _labels(path: Path, name: str, array: Array, classes: int) -> Labels:
    _check_numbers(path, name, array)
    shares = soft_labels(array, classes)
    if shares is not None:
        array = shares.argmax(axis=1)
    elif array.ndim == 2 and array.shape[1] == classes and classes > 1:
        array = classes_of_one_hot(path, name, array)
    elif array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ConversionError(
            f"{path}: {name} has the shape {array.shape}, expected (n,), (n, 1) or one-hot "
            f"(n, {classes})",
            "Give one class number for each sample.",
        )
    labels: Labels = np.nan_to_num(array, nan=-1).astype(np.int64)
    wrong = np.flatnonzero((labels != array) | (labels < 0) | (labels >= classes))
    if len(wrong):
        raise ConversionError(
            f"{path}: {name} has the label {array[wrong[0]]} at sample {wrong[0]}, the model tells "
            f"apart {classes} classes: whole numbers from 0 to {classes - 1}",
            "Number the classes from 0, as in training.",
        )
    return labels
