"""TensorRT on a board: every command with a stand-in for `trtexec`, on this computer and over SSH.

It tests what kedge makes of NVIDIA's files, and says nothing of TensorRT itself.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.boards import start_board
from tests.conformance.conftest import add_arguments
from tests.kedge import Ran, assert_refused, kedge
from tests.onnx_models import convolution_model, quantized_model
from tests.tensorrt_board import install_trtexec

#: Model of few samples that are compared: each is a process of its own.
MODEL = "model.onnx"


@pytest.fixture(scope="module", params=["local", "ssh"])
def project(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A project with one target `board`, whose runtime is TensorRT."""
    folder = tmp_path_factory.mktemp(f"tensorrt-{request.param}")
    programs = install_trtexec(folder / "tensorrt")
    path = f"{programs}:/usr/local/bin:/usr/bin:/bin"
    with (
        pytest.MonkeyPatch.context() as patch,
        start_board(
            request.param, extra_config=[f"SetEnv PATH={path}"] if request.param == "ssh" else []
        ) as board,
    ):
        patch.setenv("PATH", f"{programs}:/usr/local/bin:/usr/bin:/bin")
        ran = kedge(*add_arguments(board), cwd=folder)
        assert ran.code == 0, ran.err
        inventory = folder / "kedge.toml"
        text = inventory.read_text().replace(f"[targets.{board.name}]", "[targets.board]")
        inventory.write_text(text.rstrip() + '\nruntime = "tensorrt"\n')
        (folder / MODEL).write_bytes(convolution_model(size=16, channels=8, layers=2))
        (folder / "unsigned.onnx").write_bytes(quantized_model())
        yield folder


@pytest.fixture(scope="module")
def benched(project: Path) -> Ran:
    return kedge(
        "bench", MODEL, "--on", "board", "--quality", "quick", "--duration", "300ms", "--profile",
        "--json", cwd=project,
    )  # fmt: skip


def test_check_names_tensorrt_its_version_and_its_path(project: Path) -> None:
    ran = kedge("target", "check", "board", cwd=project)
    assert "TensorRT" in ran.out
    assert "10.3.0" in ran.out
    assert "a .onnx runs on board:tensorrt 10.3.0" in ran.out
    checked = kedge("target", "check", "board", "--json", cwd=project).json
    chosen = {entry["format"]: entry["runtime"]["distribution"] for entry in checked["formats"]}
    assert chosen == {"tflite": "ai-edge-litert", "onnx": "board:tensorrt"}


def test_bench_measures_and_compares_the_outputs(benched: Ran) -> None:
    assert benched.code in (0, 9), benched.err
    (entry,) = benched.json["targets"]
    (row,) = entry["rows"]
    assert entry["runtime"].startswith("board:tensorrt 10.3.0")
    assert 0 < row["invoke_median_us"] < row["end_to_end_median_us"]
    assert entry["parity"]["largest_difference"] <= 1
    assert [step["executor"] for step in entry["op_times"]["steps"]] == ["TensorRT", "TensorRT"]


def test_one_engine_serves_all_jobs(project: Path, benched: Ran) -> None:
    assert benched.code in (0, 9)
    assert len(list(project.parent.rglob("*.plan"))) <= 1


def test_run_gives_the_outputs(project: Path, tmp_path: Path) -> None:
    inputs = np.random.default_rng(1).standard_normal((2, 3, 16, 16)).astype(np.float32)
    np.save(tmp_path / "x.npy", inputs)
    ran = kedge(
        "run", MODEL, "--on", "board", "--input", str(tmp_path / "x.npy"),
        "--save-outputs", str(tmp_path / "y.npz"), "--json", cwd=project,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    scores = np.load(tmp_path / "y.npz")["scores"]
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-4)


def test_a_model_is_converted_for_it_and_pushed(digits: Path, project: Path) -> None:
    if "ssh" not in project.name:
        pytest.skip("the conversion is that for the other board")
    with np.load(digits / "digits.npz") as stored:
        samples = {name: array[:16] if "test" in name else array for name, array in stored.items()}
    np.savez(project / "few.npz", **samples)
    ran = kedge(
        "convert-and-push", str(digits / "float32" / "model.tflite"), "--data", "few.npz",
        "--recipe", "ptq_w8a8", "--format", "tensorrt", "--to", "board", "--out", "out",
        "--quality", "quick", "--json", cwd=project,
    )  # fmt: skip
    assert ran.code in (0, 9), ran.err
    assert ran.json["conversion"]["accuracy"] > 0.9
    (entry,) = ran.json["targets"]
    assert (entry["format"], entry["runtime"].split()[0]) == ("onnx", "board:tensorrt")
    assert entry["parity"]["agreement"] > 0.97


def test_compare_runs_both_files_in_turn(project: Path) -> None:
    if "ssh" in project.name:
        pytest.skip("the processes are those of the other board")
    (project / "second.onnx").write_bytes(convolution_model(size=16, channels=8, layers=4))
    ran = kedge(
        "compare", MODEL, "second.onnx", "--on", "board", "--duration", "300ms", cwd=project
    )
    assert ran.code in (0, 8, 9), ran.err
    assert "second.onnx" in ran.out


def test_a_file_for_onnx_runtime_is_refused_before_it_is_sent(project: Path) -> None:
    for command in (("push", "unsigned.onnx", "--to"), ("bench", "unsigned.onnx", "--on")):
        ran = kedge(*command, "board", cwd=project)
        assert_refused(ran, 4, "zero points other than 0", "--format tensorrt")


def test_what_trtexec_does_not_do_is_one_message(project: Path) -> None:
    ran = kedge("bench", MODEL, "--on", "board", "--streams", "2", cwd=project)
    assert_refused(ran, 7, "trtexec", "leave out --rate, --soak and --streams")


def test_inspect_says_what_is_known(project: Path) -> None:
    ran = kedge("inspect", MODEL, "--runtime", "tensorrt==10.3.0", cwd=project)
    assert ran.code == 0, ran.err
    assert "only the board" in ran.out
    ran = kedge("inspect", "unsigned.onnx", "--runtime", "tensorrt==10.3.0", cwd=project)
    assert ran.code == 4
    assert "zero points other than 0" in ran.out


def test_tune_measures_it_beside_onnx_runtime(project: Path) -> None:
    if "ssh" in project.name:
        pytest.skip("every setting of the other board was tried")
    ran = kedge(
        "target", "tune", "board", "--model", MODEL, "--duration", "300ms", "--dry-run", "--json",
        cwd=project,
    )  # fmt: skip
    assert ran.code in (0, 9), ran.err
    names = {trial["runtime"].split()[0] for trial in ran.json["trials"]}
    assert {"onnxruntime", "board:tensorrt"} <= names
