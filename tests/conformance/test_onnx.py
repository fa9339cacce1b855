"""What every board must do with an .onnx: the same as with a .tflite, on the other runtime."""

from pathlib import Path

import numpy as np
import pytest

from tests.boards import BoardUnderTest
from tests.conformance.test_arrow import MACHINES
from tests.kedge import Ran, kedge
from tests.onnx_models import convolution_model

Project = tuple[Path, BoardUnderTest]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    path.write_bytes(convolution_model(size=16, channels=8, layers=2))
    return path


@pytest.fixture(scope="module")
def benched(project: Project, digits: Path) -> Ran:
    """A short benchmark of the int8 file that `kedge convert --format both` wrote."""
    folder, board = project
    model = str(digits / "int8" / "model.onnx")
    return kedge(
        "bench", model, "--on", board.name, "--quality", "quick", "--duration", "100ms",
        "--profile", "--json", cwd=folder,
    )  # fmt: skip


def test_check_tells_the_runtime_of_each_format(project: Project) -> None:
    folder, board = project
    checked = kedge("target", "check", board.name, "--json", cwd=folder).json
    chosen = {entry["format"]: entry["runtime"]["distribution"] for entry in checked["formats"]}
    assert chosen == {"tflite": "ai-edge-litert", "onnx": "onnxruntime"}


def test_bench_measures_and_proves_the_outputs(project: Project, benched: Ran) -> None:
    board = project[1]
    entry = benched.json["targets"][0]
    row = entry["rows"][0]
    assert benched.code in (0, 9), benched.err
    assert entry["invoke_median_us"] > 0
    assert entry["runtime"].startswith("onnxruntime 1.")
    assert entry["runtime"].endswith(MACHINES[board.kind])
    assert set(row["placement"]["ops"]) == {"CPU"}
    parity = entry["parity"]
    assert parity["real_inputs"] is True
    assert parity["agreement"] > 0.97
    assert parity["verdict"] in {"EQUAL", "AGREES", "INCONCLUSIVE"}
    if board.kind != "arm64":
        assert parity["verdict"] == "EQUAL"
    steps = entry["op_times"]["steps"]
    assert steps
    assert any(step["layer"] for step in steps)


def test_run_gives_the_outputs(project: Project, model: Path, tmp_path: Path) -> None:
    folder, board = project
    inputs = np.random.default_rng(1).standard_normal((2, 3, 16, 16)).astype(np.float32)
    np.save(tmp_path / "x.npy", inputs)
    ran = kedge(
        "run", str(model), "--on", board.name, "--input", str(tmp_path / "x.npy"),
        "--save-outputs", str(tmp_path / "y.npz"), "--json", cwd=folder,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    scores = np.load(tmp_path / "y.npz")["scores"]
    assert scores.shape == (2, 10)
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_both_runtimes_stay_on_the_board(project: Project, model: Path, digits: Path) -> None:
    """A push of each format finds its runtime there: nothing is sent twice."""
    folder, board = project
    if board.kind == "arm64":
        pytest.skip("four more commands under emulation take a minute, and tell nothing more")
    for path in (model, digits / "float32" / "model.tflite"):
        assert kedge("push", str(path), "--to", board.name, cwd=folder).code == 0
        again = kedge("push", str(path), "--to", board.name, "--json", cwd=folder)
        assert again.json["sent_bytes"] < 4096


def test_compare_runs_each_file_on_the_runtime_of_its_format(
    project: Project, digits: Path
) -> None:
    folder, board = project
    files = [str(digits / "int8" / name) for name in ("model.tflite", "model.onnx")]
    ran = kedge("compare", *files, "--on", board.name, "--duration", "600ms", cwd=folder)
    assert ran.code in (0, 8, 9), ran.err
    assert "model.onnx" in ran.out
