"""Accuracy on a board over labelled sets: which samples, which labels, and what is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converters.errors import ConversionError
from converters.evidence.model_toml import MODEL_TOML, card_text
from converters.tflite.reader import read_model
from device_agent.contract.model_card import ImageInput, ModelCard, Output
from targets.device import Device
from targets.inventory import Target
from targets.progress import no_progress
from targets.provision import open_device
from tests.tiny_model import add_model, pictures_model, relu_model
from toolkit.measure import feeds
from toolkit.measure.accuracy import BoardAccuracy, BoardMetric, measure_accuracy
from toolkit.measure.labelled_data import open_labelled
from toolkit.report.accuracy import describe_accuracy, plain_accuracy

#: The channels of a picture of one pixel, in the order of the model's classes.
COLORS = {"red": (200, 30, 40), "green": (10, 250, 0), "blue": (90, 80, 120)}


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    root = tmp_path_factory.mktemp("board")
    with open_device(Target("here", "local", root=str(root))) as device:
        device.prepare_runtime("tflite")
        yield device


def measured(
    device: Device, folder: Path, content: bytes, data: Path, card: ModelCard | None = None
) -> Any:
    path = folder / "model.tflite"
    path.write_bytes(content)
    if card is not None:
        (folder / MODEL_TOML).write_text(card_text(card))
    model = read_model(path)
    labelled = open_labelled(model, data)
    return measure_accuracy(model, labelled, device, device.push(path), no_progress)


def arrays(folder: Path, x: Any, y: Any) -> Path:
    """A data set of these test samples alone: nothing is trained, so nothing else is needed."""
    np.savez(folder / "data.npz", x_test=x, y_test=y)
    return folder / "data.npz"


def test_right_answers_are_counted_over_every_batch(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_BATCH_BYTES", 4 * 20)
    random = np.random.default_rng(0)
    x = random.permuted(np.tile([0.0, 5.0, 10.0, 15.0], (50, 1)), axis=1)
    y = x.argmax(axis=1)
    y[:7] = (y[:7] + 1) % 4
    found = measured(device, tmp_path, relu_model(), arrays(tmp_path, x, y))

    assert (found.samples, found.board_correct, found.host_correct) == (50, 43, 43)
    assert found.agreement == 1
    assert found.board_interval[0] < 43 / 50 < found.board_interval[1]
    assert found.drop.interval[0] < 0 < found.drop.interval[1]
    assert not found.board_is_worse
    assert plain_accuracy(found)["board"] == 43 / 50


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_folders_are_matched_with_the_labels_by_name(
    device: Device, tmp_path: Path, color: str
) -> None:
    for name, pixel in COLORS.items():
        for part in ("train", "test"):
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for number in range(5):
                image = Image.new("RGB", (1, 1), pixel)
                image.save(tmp_path / "data" / part / name / f"{number}.png")
    labels = list(COLORS) if color == "RGB" else list(reversed(COLORS))
    card = ModelCard(
        {"image0": ImageInput(1, 1, color=color, mean=[0, 0, 0], std=[255, 255, 255])},
        {"same0": Output("classification", labels=labels)},
    )
    content = pictures_model([[1, 1, 1, 3]])
    found = measured(device, tmp_path, content, tmp_path / "data", card)

    assert (found.samples, found.board_correct, found.origin) == (15, 15, "test/")

    card.outputs["same0"].labels[0] = "violet"
    with pytest.raises(ConversionError, match="is none of the labels in model.toml"):
        measured(device, tmp_path, content, tmp_path / "data", card)
    (tmp_path / MODEL_TOML).unlink()
    with pytest.raises(ConversionError, match="does not say how the model takes one"):
        measured(device, tmp_path, content, tmp_path / "data")


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_pictures_are_turned_and_fitted_as_the_card_says(
    device: Device, tmp_path: Path, color: str
) -> None:
    exif = Image.Exif()
    exif[0x112] = 3  # upside down: the first pixel becomes the last, which "nearest" takes
    for name, pixel in COLORS.items():
        for part in ("train", "test"):
            (tmp_path / "data" / part / name).mkdir(parents=True)
            image = Image.new("RGB", (2, 2), (pixel[1], pixel[2], pixel[0]))
            image.putpixel((0, 0), pixel)
            for number in range(5):
                image.save(tmp_path / "data" / part / name / f"{number}.png", exif=exif)
    labels = list(COLORS) if color == "RGB" else list(reversed(COLORS))
    picture = ImageInput(1, 1, color=color, resize="nearest", mean=[0, 0, 0], std=[255, 255, 255])
    card = ModelCard({"image0": picture}, {"same0": Output("classification", labels=labels)})
    result = measured(device, tmp_path, pictures_model([[1, 1, 1, 3]]), tmp_path / "data", card)

    assert (result.samples, result.board_correct, result.host_correct) == (15, 15, 15)


@pytest.mark.parametrize(("activation", "right"), [("none", 2), ("sigmoid", 3)])
def test_a_single_score_is_a_probability_or_a_logit(
    device: Device, tmp_path: Path, activation: str, right: int
) -> None:
    data = arrays(tmp_path, np.array([[0.0], [0.25], [0.75], [0.0]]), np.array([0, 1, 1, 1]))
    card = ModelCard({}, {"same0": Output("classification", activation)})
    found = measured(device, tmp_path, pictures_model([[1, 1]]), data, card)

    assert found.board_correct == found.host_correct == right


def test_several_inputs_are_fed_by_name(device: Device, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    a, b = random.integers(0, 10, (2, 30, 4))
    y = (a + b).argmax(axis=1)
    np.savez(tmp_path / "data.npz", **{"y_test": y, "x_test.b": b, "x_test.a": a})
    found = measured(device, tmp_path, add_model(), tmp_path / "data.npz")

    assert (found.samples, found.board_correct, found.host_correct) == (30, 30, 30)


def test_data_that_does_not_fit_is_refused(device: Device, tmp_path: Path) -> None:
    data = arrays(tmp_path, np.zeros((3, 4)), np.zeros(3, int))

    with pytest.raises(ConversionError, match=r"x_test\.a, x_test\.b missing"):
        measured(device, tmp_path, add_model(), data)
    with pytest.raises(ConversionError, match="x_test has the shape"):
        measured(device, tmp_path, pictures_model([[1, 2, 2, 3]]), data)
    with pytest.raises(ConversionError, match="not found"):
        measured(device, tmp_path, relu_model(), tmp_path / "absent.npz")


def test_a_function_of_the_user_gives_the_samples(device: Device, tmp_path: Path) -> None:
    (tmp_path / "my_data.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    x = np.tile([0.0, 5.0, 10.0, 15.0], (20, 1))\n"
        "    return {'x_test': x, 'y_test': np.full(20, 3)}\n"
    )
    found = measured(device, tmp_path, relu_model(), tmp_path / "my_data:load")
    assert isinstance(found, BoardAccuracy)
    assert (found.samples, found.board_correct) == (20, 20)


def test_a_regression_is_judged_by_its_error(device: Device, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    a, b = random.integers(0, 10, (2, 60, 4)).astype(np.float32)
    y = a + b + np.where(np.arange(60)[:, None] % 2, 1.5, -0.5).astype(np.float32)
    np.savez(tmp_path / "data.npz", **{"y_test": y, "x_test.a": a, "x_test.b": b})
    found = measured(device, tmp_path, add_model(), tmp_path / "data.npz")

    assert isinstance(found, BoardMetric)
    assert (found.metric, found.higher_is_better, found.samples) == ("mae", False, 60)
    assert found.board.value == found.host.value == pytest.approx(1.0, rel=0.05)
    assert found.board.interval[0] < found.board.value < found.board.interval[1]
    assert found.drop.fraction == 0
    assert not found.board_is_worse
    plain = plain_accuracy(found)
    assert plain is not None
    assert plain["board"] == found.board.value
    assert any("the board is worse" in str(block) for block in describe_accuracy(found))
