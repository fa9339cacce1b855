"""`kedge inspect FILE --against FLOAT` and `--on NAME`: figures of each layer, and what helps."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.boards import BoardUnderTest
from tests.conformance.conftest import add_arguments
from tests.device_agent.delegates import build_delegate
from tests.kedge import assert_refused, kedge
from tests.layer_pair import SCALES, write_pair


def test_each_layer_has_its_error_and_the_worst_comes_first(tmp_path: Path) -> None:
    write_pair(tmp_path)
    options = ("--against", "float.tflite", "--data", "data.npz")
    found = json.loads(kedge("inspect", "int8.tflite", *options, "--json", cwd=tmp_path).out)
    layers = found["layer_errors"]["layers"]
    assert {layer["layer"] for layer in layers[:2]} == {"narrow", "last"}
    assert layers[-1]["layer"] == "first"

    with np.load(tmp_path / "data.npz") as arrays:
        x = arrays["x_test"].astype(np.float64)
    exact = np.maximum(x, 0)
    first = np.clip(np.round(x.astype(np.float32) / np.float32(0.1)), 0, 127) * 0.1
    rounded = {"first": first, "narrow": np.clip(np.round(first / 0.02), 0, 127) * 0.02}
    for name, values in rounded.items():
        (layer,) = (layer for layer in layers if layer["layer"] == name)
        noise = np.square(exact - values)
        expected = 10 * np.log10(np.square(exact).sum() / noise.sum())
        assert layer["sqnr_db"] == pytest.approx(expected, abs=0.05)
        scale = SCALES[name]
        assert layer["rmse_per_scale"] == pytest.approx(np.sqrt(noise.mean()) / scale, rel=0.02)
        assert layer["saturation"] == pytest.approx((exact / scale > 128).mean())
    (narrow,) = (layer for layer in layers if layer["layer"] == "narrow")
    assert narrow["added_db"] > 20
    assert narrow["share_at_ends"] >= narrow["saturation"] > 0.3


def test_a_person_reads_the_worst_layer_and_the_lines_that_help(tmp_path: Path) -> None:
    write_pair(tmp_path, extra=True)
    options = ("--against", "float.tflite", "--data", "data.npz")
    ran = kedge("inspect", "int8.tflite", *options, cwd=tmp_path)
    assert ran.code == 0
    assert 'keep_float = ["narrow"]' in ran.out
    assert "calibration_samples = 2000" in ran.out
    assert "without a counterpart in the float file: alone" in ran.out


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--against", "int8.tflite", "--data", "data.npz"), 4, "does not compute with floats"),
        (("--against", "float.tflite"), 4, "Give samples with --data"),
        (("--against", "none.tflite", "--data", "data.npz"), 4, "not found"),
        (("--against", "float.tflite", "--data", "none.npz"), 4, "not found"),
        (("--data", "data.npz"), 2, "--data goes with --against"),
    ],
)
def test_what_cannot_be_compared_is_named(
    tmp_path: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    write_pair(tmp_path)
    ran = kedge("inspect", "int8.tflite", *options, cwd=tmp_path)
    if code == 2:
        assert ran.code == 2
        assert words in ran.err
    else:
        assert_refused(ran, code, words)


def test_the_layers_of_an_onnx_have_the_errors_of_the_tflite(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from converters.onnx.write.file import onnx_of_tflite

    for path in write_pair(tmp_path):
        path.with_suffix(".onnx").write_bytes(onnx_of_tflite(path.read_bytes()))
    errors = {}
    for suffix in ("tflite", "onnx"):
        options = ("--against", f"float.{suffix}", "--data", "data.npz", "--json")
        ran = kedge("inspect", f"int8.{suffix}", *options, cwd=tmp_path)
        layers = ran.json["layer_errors"]["layers"]
        errors[suffix] = {layer["layer"]: layer["sqnr_db"] for layer in layers}
    assert errors["onnx"] == pytest.approx(errors["tflite"], abs=0.5)
    options = ("--against", "float.tflite", "--data", "data.npz")
    assert_refused(kedge("inspect", "int8.onnx", *options, cwd=tmp_path), 4, "Give a float .onnx")


@pytest.mark.parametrize("kind", ["local", "ssh"])
def test_a_board_is_compared_layer_by_layer(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    board: BoardUnderTest = request.getfixturevalue(f"{kind}_board")
    write_pair(tmp_path)
    assert kedge(*add_arguments(board), cwd=tmp_path).code == 0
    options = ("--on", board.name, "--data", "data.npz")
    ran = kedge("inspect", "int8.tflite", *options, "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    found = ran.json["board_layers"]
    assert [layer["layer"] for layer in found["layers"]] == list(SCALES)
    assert all(layer["largest_difference"] <= 1 for layer in found["layers"])
    assert found["first_wrong"] is None


def test_the_layer_that_a_delegate_computes_wrongly_is_named(tmp_path: Path) -> None:
    """The delegate takes the second operator alone, and leaves its output as it was: zeros."""
    write_pair(tmp_path)
    library = build_delegate("CLAIMS_SECOND")
    entry = f'[targets.npu]\naddress = "local"\nroot = "{tmp_path}/root"\ndelegate = "{library}"\n'
    (tmp_path / "kedge.toml").write_text(entry)
    options = ("--on", "npu", "--data", "data.npz")
    ran = kedge("inspect", "int8.tflite", *options, cwd=tmp_path)
    assert ran.code == 8, ran.err
    assert "npu computes RELU 'narrow' wrongly" in ran.out
    found = json.loads(kedge("inspect", "int8.tflite", *options, "--json", cwd=tmp_path).out)
    wrong = {layer["layer"]: layer["wrong"] for layer in found["board_layers"]["layers"]}
    assert wrong == {"first": False, "narrow": True, "last": False}
