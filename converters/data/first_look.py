"""Data that can be seen to be wrong before TensorFlow is started; what takes long is left out."""

from __future__ import annotations

import ast
import importlib.util
import zipfile
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy.lib.format

from converters.data.array_data import check_names_present, check_present, open_arrays
from converters.data.data_source import ARRAYS, FOLDER, kind_of_data
from converters.data.dataset import TEST, TRAIN, InputForm
from converters.data.image_data import open_images
from converters.data.image_files import list_folder
from converters.data.layout import check_input_shape
from converters.data.target_data import splits_without_labels
from converters.data.user_function import UserFunction, user_function_at
from converters.errors import ConversionError

_NPY: Any = numpy.lib.format
#: Largest data that is read as a whole: it takes a tenth of a second.
_WHOLE_BYTES = 32 * 2**20
_WHOLE_FILES = 10_000


def check_data(
    path: Path,
    image_range: str,
    shapes: Mapping[str, tuple[int, ...]],
    form: InputForm | None,
) -> None:
    """Refuse data that can be seen to be wrong: of no known kind, or of the wrong shape.

    Args:
        path: Data, as a user names it, absolute.
        image_range: Key of `converters.request.IMAGE_RANGES`.
        shapes: Name of each input to its shape without the batch axis; empty where it is not
            known.
        form: Shapes that the model takes and gives; None where they are not known.

    Raises:
        ConversionError: It is wrong.
    """
    function = user_function_at(path)
    if function is not None:
        check_function(function)
        return
    kind = kind_of_data(path, image_range)
    if kind == ARRAYS:
        _check_arrays(path, shapes, form)
    elif kind == FOLDER and form is not None and _is_small(path):
        open_images(path, list_folder(path), form, image_range, 0)


def check_function(function: UserFunction) -> None:
    """Refuse a function that is not there, without running anything of its module.

    Args:
        function: Function that the user names.

    Raises:
        ConversionError: There is no such module, it is no Python, or it has no such function.
    """
    path = function.source()
    if path is None:
        name = function.module.partition(".")[0]
        if (function.folder / name).is_dir() or importlib.util.find_spec(name) is not None:
            return
        hint = "Run kedge from the folder of the module, or check the spelling."
        if function.module.endswith(".py"):
            hint = f"Leave out the suffix: {function.module.removesuffix('.py')}:{function.name}"
        raise ConversionError(
            f"{function}: there is no module {function.module} in {function.folder}", hint
        )
    try:
        names = set(_names_of(ast.parse(path.read_bytes())))
    except (OSError, SyntaxError, ValueError) as error:
        raise ConversionError(
            f"{function}: {path} cannot be read: {error}", "Correct it."
        ) from error
    if not names & {function.name, "*", "__getattr__"}:
        raise ConversionError(
            f"{function}: the module {function.module} was found, {function.name} is not in it",
            "Check the spelling: module:function.",
        )


def _names_of(tree: Any) -> Iterator[str]:
    """Names that a module defines, wherever its body does; "*" for names that are not listed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name):
            yield node.id
            if node.id in ("globals", "exec", "setattr", "vars"):
                yield "*"
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]


def _is_small(path: Path) -> bool:
    return sum(1 for _ in islice(path.rglob("*"), _WHOLE_FILES)) < _WHOLE_FILES


def _check_arrays(
    path: Path, shapes: Mapping[str, tuple[int, ...]], form: InputForm | None
) -> None:
    headers, size_bytes = read_array_shapes(path)
    if not headers:
        return  # the reader says what is wrong
    for input_name, shape in shapes.items():
        suffix = f".{input_name}" if len(shapes) > 1 else ""
        for name in (f"x_{split}{suffix}" for split in (TRAIN, TEST)):
            if not suffix:
                check_present(path, name, headers)
            if name in headers:
                check_input_shape(path, name, headers[name], shape)
    if form is None:
        return
    check_names_present(path, headers, form, splits_without_labels(headers, form))
    if {"y_train", "y_test"} <= headers.keys() and size_bytes <= _WHOLE_BYTES:
        open_arrays(path, form)


def read_array_shapes(path: Path) -> tuple[dict[str, tuple[int, ...]], int]:
    """Read the headers of an .npz, and no numbers.

    Args:
        path: File of arrays.

    Returns:
        Name of each array to its shape, and bytes of all; empty if the file is damaged.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    size_bytes = 0
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                with archive.open(info) as member:
                    major = _NPY.read_magic(member)[0]
                    read = getattr(_NPY, f"read_array_header_{major}_0")
                    shapes[info.filename.removesuffix(".npy")] = tuple(read(member)[0])
                size_bytes += info.file_size
    except Exception:  # whatever NumPy raises on a damaged file: the reader names the damage
        return {}, 0
    return shapes, size_bytes
