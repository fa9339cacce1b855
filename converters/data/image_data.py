"""Images in one folder a class, on the disk or in a tar, as a dataset."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from converters.data.dataset import (
    TEST,
    TRAIN,
    Dataset,
    InputForm,
    Samples,
    Selection,
    split_dataset,
)
from converters.data.fields import quote_names
from converters.data.image_files import PICTURE_DAMAGE, PICTURE_FORMATS, ImageFiles
from converters.data.picture import DEEP_MODES, is_turned, picture_pixels
from converters.data.several_data import expected_names, infer_output_tasks
from converters.data.split import Labels, Rows
from converters.data.target_data import (
    class_weights,
    infer_task,
    may_lack_labels,
    splits_without_labels,
)
from converters.data.task import AUC, CLASSIFICATION, RECONSTRUCTION, REGRESSION, Task
from converters.errors import ConversionError
from converters.progress import Progress, Report
from converters.request import IMAGE_RANGES
from device_agent.contract.fitting import fit_picture
from device_agent.contract.model_card import ImageInput

_LAYOUT = "Give one folder of images for each class, if split then below train/ and test/"
_REPORT_EVERY = 500
#: Largest size of pixels in memory; larger ones go to a file in the temporary folder.
_MAX_MEMORY_BYTES = 2**30


@dataclass(frozen=True)
class _Listing:
    """Images: the name of each, and its label, int64, shape (n,)."""

    names: tuple[str, ...]
    labels: Labels

    def rows(self, rows: Rows) -> _Listing:
        return _Listing(tuple(self.names[row] for row in rows), self.labels[rows])


@dataclass(frozen=True)
class _Layout:
    """Places of images: the splits below `root` ("" for none), the classes below each split."""

    root: tuple[str, ...]
    splits: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class _Pixels:
    """Shape and scale of an image as a sample."""

    shape: tuple[int, ...]
    factor: float
    offset: float
    declared: ImageInput | None

    @property
    def mode(self) -> str:
        return "RGB" if self.shape[2:] == (3,) else "L"


def open_images(
    path: Path, files: ImageFiles, form: InputForm, image_range: str, seed: int
) -> Dataset:
    """List the images of a folder or tar: one sub-folder a class, also below train/ and test/.

    Class numbers are positions in alphabetical order. Images in no sub-folder have no labels, if
    the form allows it. Pixels are stored as uint8, shape (n, *form.shape).

    Args:
        path: Folder or tar, for messages.
        files: Its files.
        form: Shapes that the model takes and gives, and the wishes of the recipe.
        image_range: Key of `IMAGE_RANGES`.
        seed: Seed that decides the split where the data has none.

    Raises:
        ConversionError: The layout, the number of classes or the model's input does not fit.
    """
    _check_form(path, form, image_range)
    pixels = _Pixels(form.shape, *IMAGE_RANGES[image_range], form.picture)
    layout = _layout(path, files)
    if layout.classes or form.probabilities is None and not may_lack_labels(form):
        task, unlabelled = _labelled_task(path, layout, form), frozenset[str]()
    else:
        task = infer_output_tasks(path, {}, form) if form.answers else infer_task(path, {}, form)
        unlabelled = splits_without_labels((), form)
    class_names = layout.classes
    listings = {split: _listing(path, files, layout, split) for split in layout.splits}
    if TRAIN not in listings:
        (all_images,) = listings.values()

        def read_all(rows_of_use: dict[str, Rows], report: Report) -> dict[str, Samples]:
            listings_of_use = {use: all_images.rows(rows) for use, rows in rows_of_use.items()}
            return _read(path, files, listings_of_use, pixels, report, task)

        whole = split_dataset(path, all_images.labels, seed, read_all)
        task = _add_class_weights(task, form, whole.labels[TRAIN], class_names)
        return replace(
            whole, class_names=class_names, task=task, unlabelled=unlabelled, pictures=True
        )

    def read(selections: Mapping[str, Selection], report: Report) -> dict[str, Samples]:
        listings_of_use = {
            use: listings[selection.split].rows(selection.rows)
            for use, selection in selections.items()
        }
        return _read(path, files, listings_of_use, pixels, report, task)

    labels = {split: listing.labels for split, listing in listings.items()}
    task = _add_class_weights(task, form, labels[TRAIN], class_names)
    origins = {TRAIN: "train/", TEST: "test/"}
    return Dataset(path, labels, origins, read, class_names, task, "", unlabelled, pictures=True)


def _check_form(path: Path, form: InputForm, image_range: str) -> None:
    """Refuse a model that no pictures can feed."""
    if len(form.shape) not in (2, 3) or form.shape[2:] not in ((), (1,), (3,)):
        raise ConversionError(
            f"{path}: images cannot feed a model that takes {form.shape}, expected (height, width, "
            "1 or 3)",
            "Give the data as .npz.",
        )
    if form.dtypes and IMAGE_RANGES[image_range] != (1.0, 0.0):
        raise ConversionError(
            f"{path}: the model takes pixels as {form.dtypes['']}, the image range {image_range} "
            "would make fractions of them",
            "Leave out --image-range.",
        )
    declared = form.picture
    if declared is not None and (declared.height, declared.width) != form.shape[:2]:
        raise ConversionError(
            f"{path}: model.toml declares pictures of {declared.width}x{declared.height} (width x "
            f"height), the model takes {form.shape[1]}x{form.shape[0]}",
            "Write the model's size as height and width into model.toml.",
        )
    if form.wish.metric == AUC:
        raise _no_data_for(path, AUC)


def _labelled_task(path: Path, layout: _Layout, form: InputForm) -> Task:
    """Task where folders are the labels: a classification or a reconstruction."""
    if form.answers:
        raise ConversionError(
            f"{path}: holds images of classes, which are for one output; the model has the outputs "
            f"{quote_names(form.answers)}",
            f"Give an .npz with {', '.join(expected_names(form))}, or module:function; or images "
            "in no folders of classes, and the model's own answers count as right.",
        )
    outputs = form.outputs
    kind = form.wish.kind or (RECONSTRUCTION if outputs == form.shape else CLASSIFICATION)
    if kind == REGRESSION:
        raise _no_data_for(path, kind)
    fits = outputs == form.shape if kind == RECONSTRUCTION else outputs is None or len(outputs) == 1
    if not fits:
        raise ConversionError(
            f"{path}: the model gives {outputs} for each image of {form.shape}: that is neither a "
            "row of scores nor the image",
            "Give the data as .npz or by module:function, with y_train and y_test; or the images "
            "in no folders of classes, and the model's own answers count as right.",
        )
    if kind == CLASSIFICATION and len(layout.classes) != form.classes:
        folders = ", ".join(layout.classes[:5]) or "none"
        raise ConversionError(
            f"{path}: has {len(layout.classes)} class folders ({folders}), the model distinguishes "
            f"{form.classes} classes",
            _LAYOUT,
        )
    return form.wish.task(kind)


def _no_data_for(path: Path, what: str) -> ConversionError:
    return ConversionError(
        f"{path}: holds images, which are no data for {what}",
        "Give the data as .npz or by module:function, with y_train and y_test.",
    )


def _add_class_weights(task: Task, form: InputForm, labels: Labels, names: tuple[str, ...]) -> Task:
    weights = class_weights(form.wish.class_weights, labels, form.classes, names)
    return replace(task, class_weights=weights)


def _layout(path: Path, files: ImageFiles) -> _Layout:
    root = _root(files)
    below = _children(files.folders, root)
    if {TRAIN, TEST} & below and not {TRAIN, TEST} <= below:
        present, absent = (TRAIN, TEST) if TRAIN in below else (TEST, TRAIN)
        raise ConversionError(f"{path}: has {present}/ but no {absent}/", _LAYOUT)
    splits = (TRAIN, TEST) if TRAIN in below else ("",)
    if _are_all_in(files, [(*root, split) for split in splits]):
        return _Layout(root, splits, ())
    names = {split: sorted(_children(files.folders, (*root, split))) for split in splits}
    if splits == (TRAIN, TEST) and names[TRAIN] != names[TEST]:
        differing = sorted(set(names[TRAIN]) ^ set(names[TEST]))[0]
        raise ConversionError(
            f"{path}: class {differing!r} is not in both train/ and test/", _LAYOUT
        )
    # People pack a folder, not what is in it.
    only = (*root, *names[""]) if splits == ("",) and len(names[""]) == 1 else None
    if only is not None and files.path.is_file() and _are_all_in(files, [only]):
        return _Layout(only, splits, ())
    return _Layout(root, splits, tuple(names[splits[0]]))


def _are_all_in(files: ImageFiles, folders: list[tuple[str, ...]]) -> bool:
    """Whether there are images, and all of them in these folders themselves."""
    within = {"/".join(part for part in folder if part) for folder in folders}
    return bool(files.images) and {name.rpartition("/")[0] for name in files.images} <= within


def _root(files: ImageFiles) -> tuple[str, ...]:
    """Folder of the class or split folders: the top, or the only folder at the top."""
    top = _children(files.folders, ())
    if len(top) != 1 or top & {TRAIN, TEST} or not _children(files.folders, tuple(top)):
        return ()
    return tuple(top)


def _children(folders: frozenset[str], above: tuple[str, ...]) -> set[str]:
    parts = tuple(part for part in above if part)
    below = (PurePosixPath(folder).parts for folder in folders)
    return {b[len(parts)] for b in below if len(b) == len(parts) + 1 and b[: len(parts)] == parts}


def _listing(path: Path, files: ImageFiles, layout: _Layout, split: str) -> _Listing:
    prefix = "".join(f"{part}/" for part in (*layout.root, split) if part)
    names = [name for name in sorted(files.images) if name.startswith(prefix)]
    if not layout.classes:
        return _Listing(tuple(names), np.zeros(len(names), np.int64))
    number = {name: position for position, name in enumerate(layout.classes)}
    labels = []
    for name in names:
        class_name, _, rest = name[len(prefix) :].partition("/")
        if not rest:
            raise ConversionError(f"{path}: image {name} is in no class folder", _LAYOUT)
        labels.append(number[class_name])
    empty = set(range(len(layout.classes))) - set(labels)
    if empty:
        raise ConversionError(
            f"{path}: class folder {prefix}{layout.classes[min(empty)]} has no images",
            "Put images into it, or train the model without this class.",
        )
    return _Listing(tuple(names), np.array(labels, np.int64))


def _read(
    path: Path,
    files: ImageFiles,
    listings: Mapping[str, _Listing],
    pixels: _Pixels,
    report: Report,
    task: Task,
) -> dict[str, Samples]:
    # An image may have two uses: to train with, and to judge the accuracy on learned samples.
    places: dict[str, list[npt.NDArray[np.uint8]]] = {}
    samples = {}
    for use, listing in listings.items():
        stored = _allocate((len(listing.names), *pixels.shape))
        for row, name in enumerate(listing.names):
            places.setdefault(name, []).append(stored[row])
        samples[use] = Samples(stored, listing.labels, pixels.factor, pixels.offset, task)
    counts = _Counts()
    for done, (name, content) in enumerate(files.read(frozenset(places)), start=1):
        decoded = _decode(f"{path}: image {name}", content, pixels, counts).reshape(pixels.shape)
        for place in places[name]:
            place[...] = decoded
        if done % _REPORT_EVERY == 0 or done == len(places):
            report(Progress("read data", done, len(places)))
    notes = counts.notes(len(places), pixels)
    ignored = counts.turned > 0 and not (pixels.declared is not None and pixels.declared.exif)
    return {
        use: replace(of_use, notes=notes, ignores_exif=ignored) for use, of_use in samples.items()
    }


@dataclass
class _Counts:
    """Numbers of pictures that are no plain ones."""

    turned: int = 0
    """Pictures with an EXIF orientation."""
    fitted: int = 0
    """Pictures of another size."""

    def notes(self, total: int, pixels: _Pixels) -> tuple[str, ...]:
        """Sentences about them, of all pictures that were read."""
        notes, declared = [], pixels.declared
        what = f"{self.turned} of {total} pictures ({self.turned / max(total, 1):.0%}) have an EXIF"
        if self.turned and declared is not None and declared.exif:
            notes.append(f"{what} orientation and are turned by it, as model.toml says")
        elif self.turned:
            notes.append(
                f"{what} orientation, which is not applied, as by Keras' own loaders: if the model "
                "was trained on upright pictures, write exif = true into the input of a model.toml "
                "beside the model or in --out"
            )
        if self.fitted and declared is not None:
            notes.append(
                f"{self.fitted} of {total} pictures have another size and are brought to "
                f"{declared.width}x{declared.height} (width x height) by fit {declared.fit!r} and "
                f"resize {declared.resize!r}, as model.toml says"
            )
        return tuple(notes)


def _allocate(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    size_bytes = int(np.prod(shape, dtype=np.int64))
    if size_bytes <= _MAX_MEMORY_BYTES:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile(prefix="pixels-") as file:
        # Reserve all of it now: a disk that fills up under a memory map ends the process by SIGBUS.
        os.posix_fallocate(file.fileno(), 0, size_bytes)
        return np.memmap(file, np.uint8, "r+", shape=shape)


def _decode(what: str, content: bytes, pixels: _Pixels, counts: _Counts) -> npt.NDArray[np.uint8]:
    declared = pixels.declared
    try:
        with Image.open(io.BytesIO(content), formats=PICTURE_FORMATS) as image:
            _check_depth(what, image, declared)
            counts.turned += is_turned(image)
            exif, white = (False, 0) if declared is None else (declared.exif, declared.white)
            decoded = picture_pixels(image, pixels.mode, exif, white)
    except UnidentifiedImageError as error:
        raise ConversionError(
            f"{what}: cannot be decoded: not a picture that Pillow knows", "Repair or remove it."
        ) from error
    except (*PICTURE_DAMAGE, Image.DecompressionBombError) as error:
        raise ConversionError(
            f"{what}: cannot be decoded: {error}", "Repair or remove it."
        ) from error
    return _fit(what, decoded, pixels, counts)


def _fit(
    what: str, decoded: npt.NDArray[np.uint8], pixels: _Pixels, counts: _Counts
) -> npt.NDArray[np.uint8]:
    """A picture of the size that the model takes; refused where model.toml declares no way."""
    size, declared = pixels.shape[:2], pixels.declared
    if decoded.shape[:2] != size and declared is None:
        height, width = decoded.shape[:2]
        raise ConversionError(
            f"{what}: is {width}x{height} pixels (width x height), the model takes "
            f"{size[1]}x{size[0]}",
            "Resize the images as they were for training; or declare it by the keys fit and resize "
            "of the input in a model.toml beside the model or in --out (docs/run.md).",
        )
    if decoded.shape[:2] != size:
        assert declared is not None
        counts.fitted += 1
        image = decoded if decoded.ndim == 3 else decoded[:, :, None]
        fitted: npt.NDArray[np.float32] = fit_picture(np, image, declared)
        decoded = np.round(fitted).astype(np.uint8)
    if declared is not None and declared.color == "BGR":
        decoded = decoded[..., ::-1]
    return decoded


def _check_depth(what: str, image: Any, declared: ImageInput | None) -> None:
    if image.mode in DEEP_MODES and (declared is None or not declared.white):
        raise ConversionError(
            f"{what}: has more than 8 bits a channel (mode {image.mode})",
            "Save it with 8 bits; or declare by the key white of the input in a model.toml beside "
            "the model or in --out which number is white, such as white = 65535.",
        )
