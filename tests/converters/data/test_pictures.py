"""Pictures with an EXIF orientation, of another size, or of more than 8 bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converters.data.data_warnings import data_warnings
from converters.data.dataset import TRAIN, Dataset, InputForm, Samples, Selection
from converters.data.image_data import open_images
from converters.data.image_files import list_folder
from converters.errors import ConversionError
from converters.evidence.declared_picture import declared_picture
from converters.progress import ignore
from device_agent.contract.fitting import fit_picture
from device_agent.contract.model_card import ImageInput
from toolkit.measure.sample_files import read_picture

FORM = InputForm((6, 8, 1), 2, (2,), probabilities=True)
DECLARED = ImageInput(6, 8, color="gray", exif=True)
RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
#: EXIF orientation of a picture that stands on its head.
UPSIDE_DOWN = 3


def write(folder: Path, pixels: Any, orientation: int = 1, count: int = 10) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("ant", "bee"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            options = {"exif": exif} if number % 2 == 0 and orientation != 1 else {}
            Image.fromarray(pixels).save(folder / name / f"{number}.png", **options)
    return folder


def read(folder: Path, form: InputForm) -> tuple[Dataset, Samples]:
    dataset = open_images(folder, list_folder(folder), form, "0..255", 0)
    rows = np.arange(len(dataset.labels[TRAIN]))
    return dataset, dataset.read({TRAIN: Selection(TRAIN, rows)}, ignore)[TRAIN]


def test_an_orientation_is_told_and_not_applied_unless_it_is_declared(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", RAMP, UPSIDE_DOWN)
    dataset, samples = read(folder, FORM)
    (note,) = samples.notes
    assert note in data_warnings(dataset, {TRAIN: samples}, 2)
    assert "have an EXIF orientation, which is not applied" in note
    assert "exif = true" in note
    assert samples.ignores_exif
    assert all(np.array_equal(one[..., 0], RAMP) for one in samples.stored)
    _, samples = read(folder, replace(FORM, picture=DECLARED))
    upside_down = sum(np.array_equal(one[..., 0], RAMP[::-1, ::-1]) for one in samples.stored)
    assert note.startswith(f"{upside_down} of 16 pictures ({upside_down / 16:.0%})")
    assert upside_down > 0
    assert not samples.ignores_exif
    assert "are turned by it" in samples.notes[0]


def test_another_size_is_refused_by_the_key_and_brought_to_size_as_declared(tmp_path: Path) -> None:
    large = np.kron(RAMP, np.ones((2, 3), np.uint8))
    folder = write(tmp_path / "data", large)
    with pytest.raises(ConversionError, match="24x12 pixels .* the model takes 8x6") as error:
        read(folder, FORM)
    assert "fit and resize" in error.value.hint
    for fit in ("stretch", "crop", "letterbox"):
        declared = replace(DECLARED, fit=fit, resize="area")
        _, samples = read(folder, replace(FORM, picture=declared))
        expected = np.round(fit_picture(np, large[:, :, None], declared))
        assert np.array_equal(samples.stored[0], expected)
        assert f"by fit {fit!r}" in samples.notes[0]


def test_a_deep_picture_is_scaled_as_declared(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", RAMP.astype(np.uint16) * 257)
    with pytest.raises(ConversionError, match="more than 8 bits") as error:
        read(folder, FORM)
    assert "white = 65535" in error.value.hint
    _, samples = read(folder, replace(FORM, picture=replace(DECLARED, white=65535)))
    assert np.array_equal(samples.stored[0][..., 0], RAMP)
    pixels, _ = read_picture(folder / "ant" / "0.png", white=65535)
    assert np.array_equal(pixels, np.repeat(RAMP[..., None], 3, axis=2))


@pytest.mark.parametrize("exif", [True, False])
def test_run_turns_a_picture_as_model_toml_says(tmp_path: Path, exif: bool) -> None:
    folder = write(tmp_path / "data", RAMP, UPSIDE_DOWN)
    pixels, notes = read_picture(folder / "ant" / "0.png", exif)
    assert np.array_equal(pixels[..., 0], RAMP[::-1, ::-1] if exif else RAMP)
    assert ("turned" in notes[0]) == exif


def test_what_a_person_wrote_is_the_declaration(tmp_path: Path) -> None:
    text = 'schema = 1\n[inputs.input]\nkind = "image"\nheight = 6\nwidth = 8\ncolor = "gray"\n'
    out, model = tmp_path / "out", tmp_path / "model"
    out.mkdir()
    model.mkdir()
    assert declared_picture((out, model)) is None
    (model / "model.toml").write_text(text + 'fit = "crop"\n')
    declared = declared_picture((out, model))
    assert declared is not None
    assert declared.fit == "crop"
