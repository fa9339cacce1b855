"""`kedge run` and `kedge bench --data` on every board: files in, right answers out."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from converters.evidence.conversion import read_conversion
from converters.evidence.model_toml import card_text
from converters.tflite.reader import read_model
from device_agent.contract.model_card import RESIZES, ImageInput, ModelCard, Output
from device_agent.samples.preprocess import preprocess
from targets.progress import no_progress
from targets.provision import open_device
from tests.boards import BoardUnderTest
from tests.conformance.conftest import add_arguments
from tests.kedge import kedge
from tests.resize_definition import resized
from tests.tiny_model import pictures_model, relu_model
from toolkit.measure.accuracy import measure_accuracy
from toolkit.measure.labelled_data import open_labelled
from toolkit.project import find_target

Project = tuple[Path, BoardUnderTest]
Array = np.ndarray[Any, Any]

MODELS = Path(__file__).resolve().parents[3] / "shared" / "models"
CAT = MODELS / "cat.bmp"
MOBILENET = MODELS / "mobilenet_v1_0.25_128_quant.tflite"

#: float32 on the board against float64 here, of 255.
TOLERANCE = 1e-3

#: Half of the pixel values, to see that they are scaled; each stage of the way occurs.
CARDS = [
    *(ImageInput(12, 20, resize=method, scale=0.5) for method in RESIZES),
    ImageInput(16, 16, fit="crop", resize="antialias", color="BGR"),
    ImageInput(16, 16, fit="letterbox", pad=7, layout="NCHW", mean=[0, 0, 0], std=[1, 2, 4]),
    ImageInput(40, 60, color="gray", offset=3, resize="area"),
]


def model_in(folder: Path, name: str, content: bytes, card: ModelCard) -> Path:
    """A model and its model.toml in a folder of their own."""
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "model.toml").write_text(card_text(card))
    (folder / name / "model.tflite").write_bytes(content)
    return folder / name / "model.tflite"


def shape_of(to: ImageInput) -> list[int]:
    sides = {"N": 1, "H": to.height, "W": to.width, "C": 1 if to.color == "gray" else 3}
    return [sides[axis] for axis in to.layout]


def test_a_board_makes_of_a_picture_what_is_declared(project: Project) -> None:
    folder, board = project
    card = ModelCard({f"image{n}": to for n, to in enumerate(CARDS)})
    model = model_in(folder, "pictures", pictures_model([shape_of(to) for to in CARDS]), card)
    pixels = np.random.default_rng(0).integers(0, 256, (31, 45, 3), dtype=np.uint8)
    np.savez(folder / "pictures.npz", **{f"image{n}": pixels for n in range(len(CARDS))})

    ran = kedge(
        "run", str(model), "--on", board.name, "--input", "pictures.npz",
        "--save-outputs", "made.npz", "--json", cwd=folder,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    made = np.load(folder / "made.npz")
    for number, to in enumerate(CARDS):
        found = made[f"same{number}"][0]
        here = preprocess(np, pixels, to)
        assert (found == here).all(), f"{to}: the board differs by {np.abs(found - here).max()}"
    for number, method in enumerate(RESIZES):
        expected = 0.5 * resized(pixels, 12, 20, method)
        assert np.abs(made[f"same{number}"][0] - expected).max() < TOLERANCE, method
    (sample,) = ran.json["samples"]
    assert sorted(sample["times_us"]) == ["invoke", "postprocess", "preprocess", "quantize"]
    assert all(time > 0 for time in sample["times_us"].values())
    assert sample["outputs"]["same0"]["task"] == "raw"
    assert sample["outputs"]["same0"]["shape"] == [1, 12, 20, 3]
    assert ran.json["peak_rss_bytes"] > 1 << 20
    nothing_but_models_is_left(board)


def nothing_but_models_is_left(board: BoardUnderTest) -> None:
    store = board.root_on_host / "store"
    assert not list(store.glob("work-*"))
    for path in (store / "scratch").iterdir():
        content = path.read_bytes()
        if content[4:8] != b"TFL3":
            assert onnx.load_model_from_string(content).graph.node


def test_arrays_are_quantized_answered_and_named(project: Project) -> None:
    folder, board = project
    meant = Output("classification", threshold=0.6, top_k=2, labels=["a", "b", "c", "d"])
    model = model_in(folder, "relu", relu_model(), ModelCard({}, {"y0": meant}))
    np.save(folder / "x.npy", np.array([[0.2, 1.4, -3, 0.76], [0, 0, 0, 0.5]]))

    ran = kedge("run", str(model), "--on", board.name, "--input", "x.npy", "--json", cwd=folder)
    assert ran.code == 0, ran.err
    first, second = (sample["outputs"]["y0"] for sample in ran.json["samples"])
    # In steps of 0.5: 0.2 is 0, 1.4 is 1.5, 0.76 is 1.0.
    assert [(entry["label"], entry["score"]) for entry in first["classes"]] == [
        ("b", 1.5),
        ("d", 1),
    ]
    assert second["classes"] == []
    assert second["best"] == {"label": "d", "number": 3, "score": 0.5}


@pytest.mark.skipif(not MOBILENET.is_file(), reason=f"no {MOBILENET}")
def test_a_real_model_sees_a_cat(project: Project) -> None:
    folder, board = project
    labels = (MODELS / "imagenet_labels.txt").read_text().splitlines()
    card = ModelCard(
        {"input": ImageInput(128, 128, scale=1 / 128, offset=-1, fit="crop")},
        {"MobilenetV1/Predictions/Reshape_1": Output("classification", labels=labels)},
    )
    model = model_in(folder, "mobilenet", MOBILENET.read_bytes(), card)
    Image.open(CAT).save(folder / "cat.png")

    ran = kedge(
        "run", str(model), "--on", board.name, "--input", str(CAT), "--input", "cat.png",
        cwd=folder,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    for source in (str(CAT), "cat.png"):
        (line,) = (line for line in ran.out.splitlines() if line.startswith(f"{source}: "))
        assert line.startswith(f"{source}: Egyptian cat 0.")
    assert "preprocess" in ran.out
    assert "peak memory of the process" in ran.out


def test_the_accuracy_on_a_board_is_that_of_this_host(project: Project, digits: Path) -> None:
    folder, board = project
    model = read_model(digits / "int8" / "model.tflite")
    labelled = open_labelled(model, digits / "digits.npz")
    with open_device(find_target(board.name, folder)) as device:
        device.prepare_runtime("tflite")
        staged = device.push(model.path)
        found = measure_accuracy(model, labelled, device, staged, no_progress)

    proved = read_conversion(digits / "int8").accuracy
    assert proved is not None
    assert (found.samples, found.host_correct) == (proved.samples, proved.correct)
    low, high = found.board_interval
    assert low < found.board_correct / found.samples < high
    if board.kind == "arm64":  # another kernel class
        assert found.agreement > 0.97
        assert found.drop.interval[0] < 0 < found.drop.interval[1]
    else:
        assert found.board_correct == found.host_correct
        assert found.agreement == 1
    nothing_but_models_is_left(board)


def test_bench_tells_the_accuracy(
    local_board: BoardUnderTest, digits: Path, tmp_path: Path
) -> None:
    assert kedge(*add_arguments(local_board), cwd=tmp_path).code == 0
    asked = (
        *("bench", str(digits / "int8" / "model.tflite"), "--on", local_board.name),
        *("--quality", "quick", "--duration", "60ms", "--data", str(digits / "digits.npz")),
    )
    proved = read_conversion(digits / "int8").accuracy
    assert proved is not None
    plain = kedge(*asked, "--json", cwd=tmp_path).json["targets"][0]["accuracy"]
    assert plain["host"] == plain["board"] == proved.fraction
    assert plain["drop_interval"][0] < plain["drop"] == 0 < plain["drop_interval"][1]
    said = kedge(*asked, cwd=tmp_path).out
    assert f"accuracy over {proved.samples} samples of digits.npz (x_test)" in said
    assert "right on the board alone 0, on this host alone 0" in said
    shown = kedge("results", "show", "1", cwd=tmp_path).out
    assert f"{proved.samples} samples of" in shown and "% on the board" in shown
