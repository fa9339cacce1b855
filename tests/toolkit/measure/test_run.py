"""`kedge run` on this computer: what is said without a model.toml, and what is refused at once."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from converters.evidence.model_toml import card_text
from device_agent.contract.model_card import ImageInput, ModelCard, Output
from tests.kedge import assert_refused, kedge
from tests.tiny_model import pictures_model, relu_model


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the target `here` and the picture a.png, of one color."""
    ran = kedge("target", "add", "here", "local", "--root", str(tmp_path / "root"), cwd=tmp_path)
    assert ran.code == 0, ran.err
    Image.new("RGB", (9, 7), (10, 20, 30)).save(tmp_path / "a.png")
    return tmp_path


def test_without_a_model_toml_one_to_begin_with_is_shown(project: Path) -> None:
    (project / "m.tflite").write_bytes(pictures_model([[1, 4, 6, 3]]))
    ask = ("run", "m.tflite", "--on", "here", "--input", "a.png", "--save-outputs", "o.npz")
    ran = kedge(*ask, cwd=project)
    assert_refused(ran, 3, "a.png is a picture, and there is no model.toml")
    assert not (project / "root").exists(), "the board was asked"

    shown = ran.err[ran.err.index("schema = 1") :]
    (project / "model.toml").write_text(shown)
    ran = kedge(*ask, cwd=project)
    assert ran.code == 0, ran.err
    assert "a.png: array [1, 4, 6, 3]: min 10, mean 20, max 30" in ran.out
    made = np.load(project / "o.npz")["same0"]
    assert made.shape == (1, 4, 6, 3)
    assert (made == [10, 20, 30]).all()


def test_arrays_need_no_model_toml(project: Path) -> None:
    (project / "m.tflite").write_bytes(relu_model(2))
    np.save(project / "x.npy", np.array([1, 2, 3, 4]))
    ran = kedge("run", "m.tflite", "--on", "here", "--input", "x.npy", cwd=project)

    assert ran.code == 0, ran.err
    assert "x.npy: y0: array [1, 4]: min 1, mean 2.5, max 4" in ran.out
    assert "x.npy: y1: array" in ran.out


def test_what_was_done_to_a_picture_is_noted_and_values_are_shown(project: Path) -> None:
    (project / "m.tflite").write_bytes(pictures_model([[1, 1, 1, 3]]))
    card = ModelCard({"image0": ImageInput(1, 1)}, {"same0": Output("regression")})
    (project / "model.toml").write_text(card_text(card))
    Image.new("RGBA", (2, 2), (1, 2, 3, 0)).save(project / "clear.png")
    ran = kedge("run", "m.tflite", "--on", "here", "--input", "clear.png", cwd=project)

    assert ran.code == 0, ran.err
    assert "clear.png: 1, 2, 3" in ran.out
    assert "clear.png: its transparency is left out" in ran.err


@pytest.mark.parametrize("lost", ["m.tflite", "x.npy", "./x.npy"])
def test_outputs_never_take_the_place_of_what_is_read(project: Path, lost: str) -> None:
    (project / "m.tflite").write_bytes(relu_model())
    np.save(project / "x.npy", np.zeros(4))
    before = (project / lost).read_bytes()
    ask = ("run", "m.tflite", "--on", "here", "--input", "x.npy", "--save-outputs", lost)

    assert_refused(kedge(*ask, cwd=project), 4, "is read in this run", "Name another file")
    assert (project / lost).read_bytes() == before
    assert not (project / "root").exists()


def test_what_is_no_picture_is_not_asked_a_model_toml_for(project: Path) -> None:
    (project / "m.tflite").write_bytes(relu_model())
    (project / "labels.txt").write_text("cat\ndog\n")
    ran = kedge("run", "m.tflite", "--on", "here", "--input", "labels.txt", cwd=project)

    assert_refused(ran, 4, "labels.txt: is not a picture that Pillow knows", ".npy")


def test_a_wrong_line_of_model_toml_is_named_before_a_board_is_asked(project: Path) -> None:
    (project / "m.tflite").write_bytes(relu_model())
    (project / "model.toml").write_text("schema = 1\n[outputs.y0]\ntask = 'detection'\n")
    np.save(project / "x.npy", np.zeros(4))
    ran = kedge("run", "m.tflite", "--on", "here", "--input", "x.npy", cwd=project)

    assert_refused(ran, 3, "model.toml, line 3", "classification, regression, raw", "'detection'")
    assert not (project / "root").exists()


def test_a_place_that_cannot_be_written_is_refused_before_the_work(project: Path) -> None:
    (project / "m.tflite").write_bytes(relu_model())
    np.save(project / "x.npy", np.zeros(4))
    for place in ("absent/o.npz", "root-is-a-folder"):
        (project / "root-is-a-folder").mkdir(exist_ok=True)
        ran = kedge(
            "run", "m.tflite", "--on", "here", "--input", "x.npy", "--save-outputs", place,
            cwd=project,
        )  # fmt: skip
        assert_refused(ran, 4, f"{place}: cannot be written")
    assert not (project / "root").exists()
