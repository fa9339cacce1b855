from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converters.data import image_files
from converters.data.data_source import open_dataset
from converters.data.dataset import Dataset, InputForm, Samples, Selection
from converters.data.task import TaskWish
from converters.errors import ConversionError
from converters.progress import ignore

GREY = InputForm((8, 8, 1), 3)
COLOUR = InputForm((8, 8, 3), 3)


def everything(dataset: Dataset) -> dict[str, Samples] | None:
    wanted = {split: Selection(split, np.arange(len(y))) for split, y in dataset.labels.items()}
    return dataset.read(wanted, ignore)


def packed(folder: Path, path: Path, mode: str = "w:gz", arcname: str = "") -> Path:
    with tarfile.open(path, mode) as archive:
        archive.add(folder, arcname=arcname)
    return path


def test_a_folder_without_a_split_holds_out_a_fifth_of_each_class(
    images: Callable[..., Any],
) -> None:
    dataset = open_dataset(images(count=20), GREY, "0..255", 0)
    assert np.bincount(dataset.labels["train"]).tolist() == [16, 16, 16]
    assert np.bincount(dataset.labels["test"]).tolist() == [4, 4, 4]
    samples = everything(dataset)
    train, test = samples["train"].stored, samples["test"].stored
    assert not {x.tobytes() for x in train} & {x.tobytes() for x in test}


def test_a_class_is_its_position_in_the_alphabet(images: Callable[..., Any]) -> None:
    folder = images(classes=("cow", "ant", "bee"))
    dataset = open_dataset(folder, GREY, "0..255", 0)
    samples = everything(dataset)["test"]
    assert dataset.class_names == ("ant", "bee", "cow")
    bees = {np.asarray(Image.open(path)).tobytes() for path in (folder / "bee").iterdir()}
    assert {x.tobytes() for x in samples.stored[samples.labels == 1]} <= bees


@pytest.mark.parametrize("above", ["", "archive", "./"])
@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tar_reads_as_its_folder_does(
    images: Callable[..., Any], tmp_path: Path, above: str, mode: str
) -> None:
    folder = images()
    tar = packed(folder, tmp_path / "images.tar", mode, above)
    expected = everything(open_dataset(folder, COLOUR, "0..255", 3))
    found = everything(open_dataset(tar, COLOUR, "0..255", 3))
    for split, samples in expected.items():
        np.testing.assert_array_equal(found[split].stored, samples.stored)
        np.testing.assert_array_equal(found[split].labels, samples.labels)


def test_a_tar_too_large_to_keep_is_read_in_a_second_pass(
    images: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = images()
    tar = packed(folder, tmp_path / "images.tar.gz")
    expected = everything(open_dataset(folder, GREY, "0..255", 0))["test"]
    monkeypatch.setattr(image_files, "_KEEP_BYTES", 1000)
    dataset = open_dataset(tar, GREY, "0..255", 0)
    np.testing.assert_array_equal(everything(dataset)["test"].stored, expected.stored)


def test_train_and_test_folders_are_the_split(images: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    images(folder / "train", count=10)
    images(folder / "test", count=2)
    (folder / "README.txt").write_text("passed over")
    (folder / "train" / ".DS_Store").write_text("passed over")
    dataset = open_dataset(folder, GREY, "0..255", 0)
    assert {split: len(y) for split, y in dataset.labels.items()} == {"train": 30, "test": 6}


@pytest.mark.parametrize(
    ("image_range", "low", "high"), [("0..255", 0, 255), ("0..1", 0, 1), ("-1..1", -1, 1)]
)
def test_pixels_come_in_the_range_that_was_asked_for(
    tmp_path: Path, images: Callable[..., Any], image_range: str, low: int, high: int
) -> None:
    folder = images()
    extremes = np.zeros((8, 8), np.uint8)
    extremes[0] = 255
    for path in folder.rglob("*.png"):
        Image.fromarray(extremes).save(path)
    samples = everything(open_dataset(folder, COLOUR, image_range, 0))["test"]
    batch = samples.batch(slice(0, 2))
    assert batch.shape == (2, 8, 8, 3)
    assert (batch.min(), batch.max()) == pytest.approx((low, high))


def refused(path: Path, form: InputForm = GREY) -> str:
    with pytest.raises(ConversionError) as caught:
        everything(open_dataset(path, form, "0..255", 0))
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 4
    assert caught.value.hint
    return str(caught.value)


def test_an_image_of_another_size_is_named(images: Callable[..., Any]) -> None:
    folder = images()
    Image.new("L", (9, 7)).save(folder / "bee" / "00.png")
    assert "image bee/00.png: is 9x7 pixels (width x height), the model takes 8x8" in refused(
        folder
    )


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_a_corrupt_image_is_named(images: Callable[..., Any], content: bytes | None) -> None:
    folder = images()
    path = folder / "bee" / "00.png"
    path.write_bytes(path.read_bytes()[:60] if content is None else content)
    assert "image bee/00.png: cannot be decoded" in refused(folder)


def test_an_image_with_more_than_8_bits_is_named(images: Callable[..., Any]) -> None:
    folder = images()
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(folder / "bee" / "00.png")
    assert "image bee/00.png: has more than 8 bits" in refused(folder)


@pytest.mark.parametrize("tarred", [False, True])
def test_an_empty_class_folder_is_named(
    images: Callable[..., Any], tmp_path: Path, tarred: bool
) -> None:
    folder = images(classes=("ant", "bee"))
    (folder / "cow").mkdir()
    path = packed(folder, tmp_path / "images.tar") if tarred else folder
    assert "class folder cow has no images" in refused(path)


def test_a_wrong_number_of_classes_is_said(images: Callable[..., Any]) -> None:
    folder = images(classes=("ant", "bee"))
    assert "has 2 class folders (ant, bee), the model distinguishes 3" in refused(folder)


def test_a_class_that_is_not_in_both_splits_is_named(
    images: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    images(folder / "train")
    images(folder / "test", classes=("ant", "bee"))
    assert "class 'cow' is not in both train/ and test/" in refused(folder)


def test_half_a_split_is_refused(images: Callable[..., Any], tmp_path: Path) -> None:
    images(tmp_path / "data" / "train")
    assert "has train/ but no test/" in refused(tmp_path / "data")


def test_an_image_outside_of_the_class_folders_is_named(images: Callable[..., Any]) -> None:
    folder = images()
    Image.new("L", (8, 8)).save(folder / "stray.png")
    assert "image stray.png is in no class folder" in refused(folder)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    assert "has 0 class folders (none)" in refused(tmp_path / "nothing")


def test_too_few_images_are_counted(images: Callable[..., Any]) -> None:
    assert "has 6 training and 3 test samples" in refused(images(count=3))


def test_images_cannot_feed_a_model_that_takes_no_images(images: Callable[..., Any]) -> None:
    assert "images cannot feed a model that takes (8,)" in refused(images(), InputForm((8,), 3))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_cut_off_tar_is_refused(
    images: Callable[..., Any], tmp_path: Path, mode: str, share: float
) -> None:
    tar = packed(images(), tmp_path / "images.tar", mode)
    tar.write_bytes(tar.read_bytes()[: int(tar.stat().st_size * share)])
    assert "is not a complete tar" in refused(tar)


def test_a_link_in_a_tar_reads_nothing_outside_of_it(
    images: Callable[..., Any], tmp_path: Path
) -> None:
    tar = packed(images(), tmp_path / "images.tar", "w", "top")
    with tarfile.open(tar, "a") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo("top/bee/zz.png")
            link.type, link.linkname = kind, "/etc/passwd"
            archive.addfile(link, io.BytesIO())
    dataset = open_dataset(tar, GREY, "0..255", 0)
    assert sum(len(y) for y in dataset.labels.values()) == 36


def test_folders_of_images_are_what_an_autoencoder_gives_back(images: Callable[..., Any]) -> None:
    form = InputForm((8, 8, 1), 64, (8, 8, 1))
    dataset = open_dataset(images(), form, "0..1", 0)
    assert dataset.task.kind == "reconstruction"
    rows = np.arange(len(dataset.labels["test"]))
    samples = dataset.read({"test": Selection("test", rows)}, ignore)["test"]
    np.testing.assert_array_equal(samples.right_answers(rows), samples.batch(rows))
    assert samples.batch(rows).max() <= 1


def test_folders_of_images_weigh_classes_by_name(images: Callable[..., Any]) -> None:
    wish = TaskWish(class_weights={"bee": 3.0})
    dataset = open_dataset(images(), InputForm((8, 8, 1), 3, (3,), wish), "0..1", 0)
    assert dataset.task.class_weights == (1.0, 3.0, 1.0)


@pytest.mark.parametrize(
    ("outputs", "wish", "message"),
    [
        ((2,), TaskWish("regression"), "no data for regression"),
        ((8, 8, 1), TaskWish("reconstruction", metric="auc"), "no data for auc"),
        ((4, 4), TaskWish(), r"gives \(4, 4\) for each image"),
    ],
)
def test_images_that_teach_something_else_are_refused(
    images: Callable[..., Any], outputs: tuple[Any, ...], wish: TaskWish, message: str
) -> None:
    with pytest.raises(ConversionError, match=message) as caught:
        open_dataset(images(), InputForm((8, 8, 1), 3, outputs, wish), "0..1", 0)
    assert "module:function" in caught.value.hint
