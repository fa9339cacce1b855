"""The data beside the model: its content decides which kind of data a path holds."""

from __future__ import annotations

from pathlib import Path

from converters.data.array_data import open_arrays
from converters.data.dataset import Dataset, InputForm, check_sample_counts
from converters.data.fields import quote_names
from converters.data.image_data import open_images
from converters.data.image_files import list_folder, list_tar
from converters.data.module_data import open_module
from converters.data.several_data import expected_names
from converters.data.user_function import user_function_at
from converters.errors import ConversionError
from converters.foreign_files import describe_file
from converters.request import UNSCALED

#: Kinds of data in files.
ARRAYS, FOLDER, TAR = "arrays", "folder", "tar"

#: How gzip, bzip2 and xz files begin.
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")
_TAR_MAGIC = slice(257, 262)
_EXPECTED = (
    "Give an .npz (x_train, y_train, x_test, y_test), a folder of images with one sub-folder a "
    "class, a .tar(.gz) of such a folder, or module:function; labels are optional."
)


def open_dataset(path: Path, form: InputForm, image_range: str, seed: int) -> Dataset:
    """Look through the data without reading more of it than needed.

    Args:
        path: .npz, folder of images, or tar of such a folder; or `module:function` in the folder
            of its module, which is called.
        form: Shapes that the model takes and gives, and the wishes of the recipe.
        image_range: Key of `converters.request.IMAGE_RANGES`.
        seed: Decides the split where the data has none.

    Raises:
        ConversionError: The data is of no known kind, is damaged or does not fit the model.
    """
    function = user_function_at(path)
    if function is not None:
        _refuse_range(path, image_range)
        return check_sample_counts(open_module(function, path, form), form.trains)
    kind = kind_of_data(path, image_range)
    if kind == ARRAYS:
        return check_sample_counts(open_arrays(path, form), form.trains)
    _refuse_several(path, form)
    files = list_folder(path) if kind == FOLDER else list_tar(path)
    return check_sample_counts(open_images(path, files, form, image_range, seed), form.trains)


def kind_of_data(path: Path, image_range: str) -> str:
    """Find out by its content what kind of data a file or folder is.

    Args:
        path: File or folder.
        image_range: Key of `converters.request.IMAGE_RANGES`.

    Returns:
        `ARRAYS`, `FOLDER` or `TAR`.

    Raises:
        ConversionError: It is of no known kind, or the range is not for it.
    """
    if path.is_dir():
        return FOLDER
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        raise ConversionError(f"{path}: is no regular file", _EXPECTED)
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"PK"):
        _refuse_range(path, image_range)
        return ARRAYS
    if head.startswith(_COMPRESSED) or head[_TAR_MAGIC] == b"ustar":
        return TAR
    what, _ = describe_file(path)
    hint = _EXPECTED
    if path.suffix == ".py":
        hint = f"Name a function in it that returns the data: --data {path.stem}:load"
    raise ConversionError(f"{path}: is not data that kedge knows: it is {what}", hint)


def _refuse_several(path: Path, form: InputForm) -> None:
    """Refuse images for a model of several inputs: a sample of them is one picture."""
    if form.inputs:
        raise ConversionError(
            f"{path}: holds images, which are for one input; the model has the inputs "
            f"{quote_names(form.inputs)}",
            f"Give an .npz with {', '.join(expected_names(form))}, or module:function.",
        )


def _refuse_range(path: Path, image_range: str) -> None:
    if image_range != UNSCALED:
        raise ConversionError(
            f"{path}: holds arrays, which are fed as they are; the image range {image_range} is "
            "for images",
            "Scale the arrays as for the training, and leave out --image-range.",
        )
