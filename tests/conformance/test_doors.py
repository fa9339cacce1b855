"""A model of each kind is trained further, converted for both runtimes and runs on boards."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.boards import BoardUnderTest
from tests.conformance.conftest import add_arguments
from tests.kedge import Ran, kedge
from tests.shared_folder import fill_once

#: Model of each kind, and its data.
SOURCES = {
    "model.pt2": "data.npz",
    "my_model:make": "my_model:load",
    "digits.tflite": "digits.npz",
}
RECIPE = """schema = 1
[[step]]
kind = "qat_w8a8"
epochs = 1
learning_rate = 1e-4
batch_size = 64
"""
RUNTIMES = {"tflite": "ai-edge-litert", "onnx": "onnxruntime"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sources(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all models and their data."""

    def fill(folder: Path) -> None:
        program = [sys.executable, "-m", "tests.converters.programs.torch_models", str(folder)]
        subprocess.run([*program, "--onnx"], check=True, capture_output=True)
        (folder / "qat_w8a8.toml").write_text(RECIPE, encoding="utf-8")
        (folder / "digits.tflite").write_bytes((digits / "float32" / "model.tflite").read_bytes())
        (folder / "digits.npz").write_bytes((digits / "digits.npz").read_bytes())

    return fill_once(tmp_path_factory, "doors", fill)


@pytest.mark.parametrize("source", SOURCES)
def test_both_files_of_a_model_run_on_the_ssh_board(
    source: str, sources: Path, ssh_board: BoardUnderTest, tmp_path: Path
) -> None:
    ran = convert_and_push(sources / source, sources / SOURCES[source], [ssh_board], tmp_path)
    assert ran.code in (0, 9), ran.err
    check_entries(ran, [ssh_board])


@pytest.mark.arm64
def test_both_files_of_an_onnx_run_on_two_boards(
    sources: Path, ssh_board: BoardUnderTest, arm64_board: BoardUnderTest, tmp_path: Path
) -> None:
    """One conversion for both; from here on the kind of the model makes no difference."""
    boards = [ssh_board, arm64_board]
    ran = convert_and_push(sources / "model.onnx", sources / "data.npz", boards, tmp_path)
    assert ran.code == 9, "an emulated board's latency is never VALID"
    check_entries(ran, boards)


def convert_and_push(model: Path, data: Path, boards: list[BoardUnderTest], project: Path) -> Ran:
    for board in boards:
        assert kedge(*add_arguments(board), cwd=project).code == 0
    return kedge(
        "convert-and-push", str(model), "--data", str(data),
        "--recipe", str(data.parent / "qat_w8a8.toml"), "--format", "both", "--out", "out",
        "--to", ",".join(board.name for board in boards), "--quality", "quick", "--json",
        cwd=project,
    )  # fmt: skip


def check_entries(ran: Ran, boards: list[BoardUnderTest]) -> None:
    assert ran.json["conversion"]["accuracy"] > 0.9
    entries = {(entry["name"], entry["format"]): entry for entry in ran.json["targets"]}
    assert set(entries) == {(board.name, each) for board in boards for each in RUNTIMES}
    for (name, each), entry in entries.items():
        assert entry["runtime"].startswith(RUNTIMES[each])
        assert entry["invoke_median_us"] > 0
        parity = entry["parity"]
        assert parity["agreement"] > 0.97
        # The board of the same class computes the same bits; few samples settle little elsewhere.
        accepted = {"EQUAL"} if name == "ssh" else {"EQUAL", "AGREES", "INCONCLUSIVE"}
        assert parity["verdict"] in accepted
