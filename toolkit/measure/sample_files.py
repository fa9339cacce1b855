"""Reads the files that a model runs on: pictures, and arrays of numbers.

Pictures are decoded here, because boards have no decoder, and travel as plain red, green and blue.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from converters.data.array_file import ARRAY_DAMAGE, array_of, check_array_sizes
from converters.data.image_files import PICTURE_DAMAGE, PICTURE_FORMATS
from converters.data.layout import from_source_layout, shape_in_source
from converters.data.picture import DEEP_MODES, is_turned, picture_pixels
from converters.data.resized_samples import resize_batch
from converters.errors import ConversionError
from converters.tensor_spec import TensorSpec
from device_agent.contract.model_card import ImageInput, ModelCard

Array = np.ndarray[Any, Any]

_SEE_THROUGH_MODES = ("RGBA", "LA", "PA", "La", "RGBa")

_NPY, _ZIP = b"\x93NUMPY", b"PK"
_KINDS = "Give a picture (JPEG, PNG, BMP, …), an .npy, or an .npz with an array for each input."


class SampleError(ConversionError):
    """A file is damaged, or does not fit the model."""


@dataclass(frozen=True)
class Sample:
    """Inputs of one inference."""

    source: str
    """Name of its file; behind it the number of the sample, where the file holds several."""
    tensors: Mapping[str, Array]
    """By input name, as `targets.sample_run.SampleRequest` takes them."""
    notes: tuple[str, ...] = ()
    """Changes that were made to a picture; one sentence each."""

    @property
    def size_bytes(self) -> int:
        """Number of bytes that travel to the board."""
        return sum(values.nbytes for values in self.tensors.values())


def is_picture(path: Path) -> bool:
    """Whether a file is to be decoded as a picture: it is no file of NumPy.

    Raises:
        SampleError: It cannot be read.
    """
    if path.is_dir():
        raise SampleError(
            f"{path}: is a folder, expected a picture, .npy or .npz",
            "Name each file in it: --input may be given several times.",
        )
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        raise SampleError(f"{path}: is no regular file", _KINDS)
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise SampleError(f"{path}: cannot be read: {error.strerror}", "Check the path.") from error
    if not head:
        raise SampleError(f"{path}: is empty", _KINDS)
    return not head.startswith((_NPY, _ZIP))


def read_samples(path: Path, inputs: Sequence[TensorSpec], card: ModelCard) -> Iterator[Sample]:
    """Read the samples of a file, one for a picture.

    Args:
        path: A picture, .npy or .npz.
        inputs: Inputs of the model.
        card: Meaning of its inputs and outputs.

    Raises:
        SampleError: The file is damaged or does not fit the model.
    """
    if not is_picture(path):
        yield from _array_samples(path, inputs, card)
        return
    if len(inputs) != 1:
        names = ", ".join(spec.name for spec in inputs)
        raise SampleError(
            f"{path}: is one picture, the model has {len(inputs)} inputs: {names}",
            "Give an .npz with an array for each of them.",
        )
    entry = card.input(inputs[0].name)
    if not isinstance(entry, ImageInput):
        raise SampleError(
            f"{path}: is a picture, and the input {inputs[0].name!r} takes arrays, as model.toml "
            "beside the model says",
            f'Give an .npy or .npz; or write kind = "image" with height and width into '
            f"[inputs.{inputs[0].name}] of model.toml (docs/run.md has the other keys).",
        )
    pixels, notes = read_picture(path, entry.exif, entry.white)
    yield Sample(str(path), {inputs[0].name: pixels}, notes)


def read_picture(path: Path, exif: bool = True, white: int = 0) -> tuple[Array, tuple[str, ...]]:
    """Decode a picture, without transparency.

    Args:
        path: File.
        exif: Whether it is turned as its EXIF orientation says.
        white: Number that stands for 255 in a picture of more than 8 bits; 0 to refuse such ones.

    Returns:
        uint8, `(height, width, 3)`, red, green and blue; and what was done to it.

    Raises:
        SampleError: It is none, cut off, too large, or has more than 8 bits of gray.
    """
    notes = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=PICTURE_FORMATS) as image:
                _refuse_deep(path, image, white)
                if getattr(image, "n_frames", 1) > 1:
                    notes.append("only its first picture is taken")
                if is_turned(image) and exif:
                    notes.append("turned as its EXIF orientation says")
                elif is_turned(image):
                    notes.append("its EXIF orientation is not applied, as model.toml says")
                if image.mode in _SEE_THROUGH_MODES or "transparency" in image.info:
                    notes.append("its transparency is left out")
                return picture_pixels(image, "RGB", exif, white), tuple(notes)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        most = (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise SampleError(
            f"{path}: has too many pixels: {error}", f"Make it smaller than {most:.0f} million."
        ) from error
    except UnidentifiedImageError as error:
        raise SampleError(f"{path}: is not a picture that Pillow knows", _KINDS) from error
    except PICTURE_DAMAGE as error:
        raise SampleError(f"{path}: cannot be decoded: {error}", "Repair or replace it.") from error


def _refuse_deep(path: Path, image: Any, white: int) -> None:
    if image.mode in DEEP_MODES and not white:
        raise SampleError(
            f"{path}: has more than 8 bits of gray (mode {image.mode}), which would be clipped",
            "Save it with 8 bits, give its numbers as .npy, or declare by the key white of the "
            "input in model.toml which number is white, such as white = 65535.",
        )


def _array_samples(path: Path, inputs: Sequence[TensorSpec], card: ModelCard) -> Iterator[Sample]:
    arrays = _by_input(path, _load(path), [spec.name for spec in inputs])
    rows = {spec.name: _rows(path, spec, arrays[spec.name], card) for spec in inputs}
    counts = {len(of_input) for of_input in rows.values()}
    if len(counts) != 1 or counts == {0}:
        numbers = ", ".join(f"{name}: {len(of_input)}" for name, of_input in rows.items())
        raise SampleError(
            f"{path}: has these numbers of samples: {numbers}; expected the same of each, from 1",
            "Give each input one array of as many samples.",
        )
    (count,) = counts
    for row in range(count):
        source = str(path) if count == 1 else f"{path}[{row}]"
        yield Sample(source, {name: of_input[row] for name, of_input in rows.items()})


def _load(path: Path) -> dict[str, Array]:
    """The arrays by name; the one of an .npy is called ""."""
    try:
        with path.open("rb") as stream:
            check_array_sizes(stream)
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"": loaded}
            with loaded:
                return {name: array_of(loaded, name) for name in loaded.files}
    except ARRAY_DAMAGE as error:
        raise SampleError(
            f"{path}: is not a complete .npy or .npz of plain numbers: {error}",
            "Save it with np.save or np.savez; arrays of objects are not loaded.",
        ) from error


def _by_input(path: Path, arrays: dict[str, Array], names: list[str]) -> dict[str, Array]:
    """Return arrays by input name: where there is one array and one input, names do not matter."""
    if len(arrays) == len(names) == 1:
        return {names[0]: next(iter(arrays.values()))}
    if set(arrays) != set(names):
        contents = "is one array" if "" in arrays else f"has the arrays {', '.join(sorted(arrays))}"
        raise SampleError(
            f"{path}: {contents}, the model takes {', '.join(sorted(names))}",
            "Save one array for each input, by its name: np.savez(file, **{name: array, …})",
        )
    return arrays


def _rows(path: Path, spec: TensorSpec, values: Array, card: ModelCard) -> Array:
    """The samples of one input, as they travel: `(samples, ...)`."""
    if values.dtype.kind not in "biuf":
        raise SampleError(
            f"{path}: the array for {spec.name} is of the type {values.dtype}, expected numbers",
            "Save plain numbers.",
        )
    entry = card.input(spec.name)
    if isinstance(entry, ImageInput):
        return _picture_rows(path, spec, values)
    inner = spec.shape[1:] if spec.shape[:1] in ((1,), (-1,)) else spec.shape
    axes, shape = entry.axes or (), inner
    inner = shape_in_source(tuple(entry.resized_from or inner), axes)
    if values.shape == inner:
        values = values[None]
    if values.shape[1:] != inner or values.ndim < 1:
        raise SampleError(
            f"{path}: the array for {spec.name} has the shape {list(values.shape)}, expected "
            f"{list(inner)}, or [samples, …] of it",
            "Shape it as the model takes it: the axes of the model before the conversion, which "
            "axes in model.toml names."
            if axes
            else "Shape it as the model takes it.",
        )
    values = from_source_layout(values, axes)
    if entry.resized_from is not None:
        values = resize_batch(values, shape)
    return _numbers(path, spec, np.ascontiguousarray(values))


def _picture_rows(path: Path, spec: TensorSpec, values: Array) -> Array:
    pixels = values[None] if values.ndim == 3 else values
    if values.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3 or not pixels.size:
        raise SampleError(
            f"{path}: the array for {spec.name} is {values.dtype} of the shape "
            f"{list(values.shape)}; pictures are uint8 [height, width, 3] or [samples, height, "
            "width, 3], red, green and blue",
            "Save the pixels, or set kind to array in model.toml to feed numbers as they are.",
        )
    return pixels


def _numbers(path: Path, spec: TensorSpec, values: Array) -> Array:
    """Real values as float32; those of an input that counts in its own type."""
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values.reshape(len(values), -1)).all(axis=1)))
        raise SampleError(
            f"{path}: the array for {spec.name} has NaN or infinity, first in sample {row}",
            "Remove or correct it.",
        )
    counts = spec.scale is None and not spec.dtype.startswith("float")
    kind = np.dtype(spec.dtype if counts else "float32")
    with np.errstate(over="ignore", invalid="ignore"):
        sent = values.astype(kind)
    if counts and not np.array_equal(sent, values):
        raise SampleError(
            f"{path}: the array for {spec.name} has numbers that are no {spec.dtype}",
            f"Give whole numbers in the range of {spec.dtype}.",
        )
    if not np.isfinite(sent).all():
        raise SampleError(
            f"{path}: the array for {spec.name} has numbers beyond {np.finfo(np.float32).max:g}",
            "Scale them as for the training.",
        )
    return sent


def group_samples(samples: Iterator[Sample], most_bytes: int, most: int) -> Iterator[list[Sample]]:
    """Group samples so that no group is larger than a board can take; one is always taken."""
    group: list[Sample] = []
    room: float = most_bytes
    for sample in samples:
        if group and (sample.size_bytes > room or len(group) == most):
            yield group
            group, room = [], most_bytes
        group.append(sample)
        room -= sample.size_bytes
    if group:
        yield group
