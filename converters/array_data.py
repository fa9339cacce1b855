"""Arrays of an .npz as a dataset."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.dataset import TEST, TRAIN, Dataset, InputForm, Samples, Selection
from converters.errors import ConversionError
from converters.progress import Progress, Report
from converters.split import Labels

Array = npt.NDArray[Any]

_NAMES = ("x_train", "y_train", "x_test", "y_test")
_EXPECTED = "save them with np.savez(file, x_train=…, y_train=…, x_test=…, y_test=…)"


def open_arrays(path: Path, form: InputForm) -> Dataset:
    """Read an .npz with the arrays x_train, y_train, x_test and y_test.

    Args:
        path: The .npz. Inputs: any real numbers, shape (n, *form.shape), fed as they are. Labels:
            whole numbers of shape (n,) or (n, 1), or one-hot of shape (n, classes).
        form: What the model takes.

    Raises:
        ConversionError: An array is missing, of another shape, has NaN, or labels out of range; the
            message names the array.
    """
    arrays = _load(path)
    samples = {
        split: Samples(
            _inputs(path, f"x_{split}", arrays[f"x_{split}"], form),
            _labels(path, f"y_{split}", arrays[f"y_{split}"], form.classes),
        )
        for split in (TRAIN, TEST)
    }
    for split, of_split in samples.items():
        if len(of_split.stored) != len(of_split.labels):
            raise ConversionError(
                f"{path}: x_{split} has {len(of_split.stored)} samples, y_{split} has "
                f"{len(of_split.labels)} labels",
                "give one label for each sample",
            )

    def read(wanted: Mapping[str, Selection], report: Report) -> dict[str, Samples]:
        chosen = {
            use: Samples(
                samples[want.split].stored[want.rows], samples[want.split].labels[want.rows]
            )
            for use, want in wanted.items()
        }
        total = sum(len(want.rows) for want in wanted.values())
        report(Progress("read data", total, total))
        return chosen

    labels = {split: of_split.labels for split, of_split in samples.items()}
    return Dataset(path, labels, {TRAIN: "x_train", TEST: "x_test"}, read)


def _load(path: Path) -> dict[str, Array]:
    try:
        # NumPy leaves a damaged file open unless it was opened for it.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            missing = [name for name in _NAMES if name not in file.files]
            if missing:
                found = ", ".join(file.files[:8]) or "none"
                raise ConversionError(
                    f"{path}: array {missing[0]} is missing; its arrays are: {found}", _EXPECTED
                )
            return {name: _array(path, name, file) for name in _NAMES}
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
    if array.dtype.kind not in "biuf":
        raise ConversionError(
            f"{path}: {name} is of the type {array.dtype}, expected numbers", _EXPECTED
        )
    return array


def _inputs(path: Path, name: str, array: Array, form: InputForm) -> Array:
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


def _labels(path: Path, name: str, array: Array, classes: int) -> Labels:
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
