"""Files to answer: what is decoded how, and what is refused."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converters.tensor_spec import TensorSpec
from device_agent.contract.model_card import ImageInput, ModelCard
from toolkit.measure.sample_files import (
    Sample,
    SampleError,
    group_samples,
    read_picture,
    read_samples,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
PICTURE = (TensorSpec("image", (1, 8, 8, 3), "float32", None, None),)
CARD = ModelCard({"image": ImageInput(8, 8)})


def saved(folder: Path, image: Image.Image, name: str = "a.png", **how: Any) -> Path:
    image.save(folder / name, **how)
    return folder / name


def test_a_picture_is_decoded_to_its_pixels(tmp_path: Path) -> None:
    pixels, notes = read_picture(saved(tmp_path, Image.fromarray(PIXELS)))

    assert (pixels == PIXELS).all()
    assert notes == ()


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [(1, PIXELS), (3, PIXELS[::-1, ::-1]), (6, np.rot90(PIXELS, -1)), (8, np.rot90(PIXELS))],
)
def test_a_photo_is_turned_upright(tmp_path: Path, orientation: int, turned: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels, notes = read_picture(saved(tmp_path, Image.fromarray(PIXELS), exif=exif))

    assert np.array_equal(pixels, turned)
    assert bool(notes) is (orientation != 1)


def test_gray_becomes_three_equal_channels(tmp_path: Path) -> None:
    pixels, _ = read_picture(saved(tmp_path, Image.fromarray(PIXELS[..., 0])))

    assert (pixels == PIXELS[..., :1]).all()


def test_transparency_is_left_out_and_said(tmp_path: Path) -> None:
    clear = np.dstack([PIXELS, np.zeros((4, 6), np.uint8)])
    pixels, notes = read_picture(saved(tmp_path, Image.fromarray(clear)))

    assert (pixels == PIXELS).all()
    assert notes == ("its transparency is left out",)


def test_of_a_film_the_first_picture_is_taken(tmp_path: Path) -> None:
    first, second = Image.new("L", (6, 4), 10), Image.new("L", (6, 4), 200)
    path = saved(tmp_path, first, "a.gif", save_all=True, append_images=[second])
    pixels, notes = read_picture(path)

    assert (pixels == 10).all()
    assert "first picture" in notes[0]


def png_of_size(width: int, height: int) -> bytes:
    """A file that says it has so many pixels, and has none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [b"IHDR" + header, b"IDAT" + zlib.compress(b""), b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


def jpeg() -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"no picture at all", "is not a picture that Pillow knows"),
        (jpeg()[:1500], "cannot be decoded: image file is truncated"),
        (png_of_size(10_000, 10_000), "has too many pixels"),
        (png_of_size(60_000, 60_000), "has too many pixels"),
    ],
    ids=["empty", "text", "cut", "large", "huge"],
)
def test_what_is_no_whole_picture_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)

    with pytest.raises(SampleError, match=said) as refused:
        list(read_samples(path, PICTURE, CARD))
    assert str(path) in str(refused.value)
    assert refused.value.hint


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.eps"])
def test_postscript_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    path = tmp_path / name
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n%%EOF\n")
    with pytest.raises(SampleError):
        list(read_samples(path, PICTURE, CARD))
    assert not (tmp_path / "ran").exists()


def test_16_bits_of_gray_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(np.full((4, 6), 4000, np.uint16)))

    with pytest.raises(SampleError, match="more than 8 bits of gray"):
        read_picture(path)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="No such file"):
        list(read_samples(tmp_path / "absent.jpg", PICTURE, CARD))


NUMBERS = (TensorSpec("x", (1, 2, 3), "int8", 0.5, 0),)
COUNTS = (TensorSpec("x", (1, 2, 3), "int32", None, None),)


def arrays(
    folder: Path,
    values: Any,
    inputs: tuple[TensorSpec, ...] = NUMBERS,
    card: ModelCard | None = None,
) -> list[Sample]:
    """Read values that were saved: one array as .npy, a dict of them as .npz."""
    path = folder / "values"
    with path.open("wb") as file:
        if isinstance(values, dict):
            np.savez(file, **values)
        else:
            np.save(file, values)
    return list(read_samples(path, inputs, card or ModelCard()))


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3), (4, 2, 3)])
def test_an_array_holds_one_sample_or_many(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    samples = arrays(tmp_path, values)

    assert [sample.tensors["x"].dtype for sample in samples] == [np.float32] * len(samples)
    assert np.array_equal(
        np.stack([sample.tensors["x"] for sample in samples]), values.reshape(-1, 2, 3)
    )


def test_the_only_array_of_an_npz_needs_no_name(tmp_path: Path) -> None:
    (sample,) = arrays(tmp_path, {"whatever": np.ones((2, 3))})

    assert sample.tensors["x"].sum() == 6


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="is a folder, expected a picture") as caught:
        list(read_samples(tmp_path, NUMBERS, ModelCard()))
    assert "--input may be given several times" in caught.value.hint


def test_one_array_for_several_inputs_is_refused(tmp_path: Path) -> None:
    two = (TensorSpec("a:0", (1, 2), "float32", None, None), *COUNTS)
    with pytest.raises(SampleError, match="is one array, the model takes a:0, x"):
        arrays(tmp_path, np.ones((5, 2)), two)


def test_several_inputs_are_given_by_name(tmp_path: Path) -> None:
    two = (TensorSpec("a:0", (1, 2), "float32", None, None), *COUNTS)
    values = {"x": np.ones((5, 2, 3), np.int64), "a:0": np.zeros((5, 2))}
    samples = arrays(tmp_path, values, two)

    assert len(samples) == 5
    assert samples[4].tensors["x"].dtype == np.int32
    assert samples[4].source.endswith("values[4]")
    with pytest.raises(SampleError, match=r"has the arrays x, the model takes"):
        arrays(tmp_path, {"x": values["x"]}, two)
    with pytest.raises(SampleError, match="a:0: 2, x: 5; expected the same of each"):
        arrays(tmp_path, {**values, "a:0": np.zeros((2, 2))}, two)


@pytest.mark.parametrize(
    ("values", "inputs", "said"),
    [
        (np.ones((3, 2)), NUMBERS, r"has the shape \[3, 2\], expected \[2, 3\]"),
        (np.ones(()), NUMBERS, r"has the shape \[\], expected \[2, 3\]"),
        (np.ones((0, 2, 3)), NUMBERS, "x: 0; expected the same of each, from 1"),
        (np.array([["a", "b", "c"]] * 2), NUMBERS, "expected numbers"),
        (np.ones((2, 3), complex), NUMBERS, "expected numbers"),
        (np.full((2, 2, 3), [[[0]], [[np.nan]]]), NUMBERS, "NaN or infinity, first in sample 1"),
        (np.full((2, 3), 1e300), NUMBERS, "has numbers beyond 3.4"),
        (np.full((2, 3), 1.5), COUNTS, "has numbers that are no int32"),
        (np.full((2, 3), 1 << 40), COUNTS, "has numbers that are no int32"),
        (np.array([[object()]], object), NUMBERS, "is not a complete .npy or .npz"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(
    tmp_path: Path, values: Any, inputs: tuple[TensorSpec, ...], said: str
) -> None:
    with pytest.raises(SampleError, match=said):
        arrays(tmp_path, values, inputs)


def test_pixels_may_come_as_an_array(tmp_path: Path) -> None:
    samples = arrays(tmp_path, np.stack([PIXELS, PIXELS]), PICTURE, CARD)

    assert [sample.tensors["image"].shape for sample in samples] == [(4, 6, 3)] * 2
    with pytest.raises(SampleError, match="pictures are uint8"):
        arrays(tmp_path, PIXELS.astype(float), PICTURE, CARD)


def test_a_picture_for_arrays_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(PIXELS))

    with pytest.raises(SampleError, match="input 'x' takes arrays") as refused:
        list(read_samples(path, NUMBERS, ModelCard()))
    assert 'kind = "image"' in refused.value.hint
    with pytest.raises(SampleError, match="the model has 2 inputs"):
        list(read_samples(path, (*PICTURE, *NUMBERS), CARD))


def test_batches_stay_small_and_lose_nothing() -> None:
    samples = [Sample(str(n), {"x": np.zeros(n, np.uint8)}) for n in (5, 5, 30, 1, 1, 1, 1)]
    groups = list(group_samples(iter(samples), 10, 3))

    assert [len(group) for group in groups] == [2, 1, 3, 1]
    assert [one for group in groups for one in group] == samples
