"""`kedge convert`: the budget and the table."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.kedge import assert_refused, kedge


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that was hardly trained, and its data."""
    folder = tmp_path_factory.mktemp("convert")
    (folder / "kedge.toml").touch()
    subprocess.run(
        [sys.executable, "-m", "converters.digits_cnn", "--out", str(folder), "--epochs", "4"],
        check=True,
        capture_output=True,
    )
    return folder


DATA = ("digits.keras", "--data", "digits.npz")


def test_a_conversion_within_its_budget_ends_well(project: Path) -> None:
    ran = kedge("convert", *DATA, "--max-drop", "0.05", "--out", "good", "--json", cwd=project)
    assert ran.code == 0, ran.err
    assert ran.json["budget"]["held"]
    assert ran.json["budget"]["max_drop"] == 0.05
    assert "will be replaced" not in ran.err
    same = ("convert", *DATA, "--max-drop", "0.05", "--out", "good", "--json")
    repeated = kedge(*same, cwd=project)
    assert "good holds this conversion already" in repeated.err
    assert "load TensorFlow" not in repeated.err
    assert repeated.out == ran.out
    again = kedge("convert", *DATA, "--out", "good", "--format", "tflite,keras", cwd=project)
    assert again.code == 0, again.err
    assert "good holds a conversion by ptq_w8a8, which will be replaced" in again.err
    assert "nothing was trained, so there is nothing for --format keras" in again.err


def test_without_labels_a_board_says_whose_answers_it_keeps(project: Path) -> None:
    with np.load(project / "digits.npz") as arrays:
        np.savez(project / "bare.npz", x_train=arrays["x_train"], x_test=arrays["x_test"])
    ran = kedge("convert", "digits.keras", "--data", "bare.npz", "--out", "bare", cwd=project)
    assert ran.code == 0, ran.err
    assert "the data has no labels: what the original model answers counts as right" in ran.err

    add = ("target", "add", "here", "local", "--root", str(project / "board"))
    assert kedge(*add, cwd=project).code == 0
    bench = ("bench", "bare/model.tflite", "--on", "here", "--quality", "quick")
    parity = kedge(*bench, "--json", cwd=project).json["targets"][0]["parity"]
    assert parity["own_labels"] is True
    proved = json.loads((project / "bare" / "conversion.json").read_text())["accuracy"]
    assert parity["board_accuracy"] == proved["correct"] / proved["samples"]
    assert "decisions of the original model kept on the board" in kedge(*bench, cwd=project).out


def test_a_conversion_beyond_its_budget_ends_with_8_and_the_reason(project: Path) -> None:
    (project / "wild.toml").write_text(
        'schema = 1\n[[step]]\nkind = "tune"\nepochs = 1\nlearning_rate = 0.2\n'
        '[[step]]\nkind = "ptq_f16"\n'
    )
    ran = kedge(
        "convert", *DATA, "--recipe", "wild.toml", "--max-drop", "0.01", "--out", "bad", cwd=project
    )
    assert ran.code == 8
    assert "1.00% is allowed" in ran.err
    conversion = json.loads((project / "bad" / "conversion.json").read_text())
    assert not conversion["budget"]["held"]
    assert [attempt["held"] for attempt in conversion["attempts"]] == [False]
    assert (project / "bad" / "model.tflite").is_file()


def test_a_budget_is_kept_by_backing_off(project: Path) -> None:
    (project / "hard.toml").write_text(
        'schema = 1\n[[step]]\nkind = "sparse"\nsparsity = 0.98\nepochs = 1\n'
        'schedule = "constant"\n[[step]]\nkind = "ptq_f16"\n'
    )
    asked = ("convert", *DATA, "--recipe", "hard.toml", "--max-drop", "0.05", "--out", "kept")
    ran = kedge(*asked, cwd=project)
    assert ran.code in {0, 8}, ran.err  # the test samples may see it otherwise
    conversion = json.loads((project / "kept" / "conversion.json").read_text())
    *before, last = conversion["attempts"]
    assert before[0]["recipe"] == "sparse98_ptq_f16"
    assert before[0]["drops"][0] > 0.05
    assert not any(attempt["held"] for attempt in before)
    assert last["held"]
    assert last["recipe"] == conversion["recipe"] != "sparse98_ptq_f16"
    assert "Tried for --max-drop" in ran.out
    told = "--max-drop: held, at most 5.00% lost on the test samples"
    assert (told in ran.out) == (ran.code == 0)
    assert "sparse98_ptq_f16" in ran.out
    assert len(list((project / ".kedge" / "cache" / "conversions").iterdir())) >= 2


def test_ctrl_c_says_how_to_go_on(project: Path) -> None:
    command = [sys.executable, "-m", "toolkit.cli", "convert", *DATA, "--recipe", "qat_w8a8"]
    with subprocess.Popen(
        [*command, "--out", "stopped"], cwd=project, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if "train" in line:
                running.send_signal(signal.SIGINT)
                break
        rest = running.stderr.read()
    assert running.returncode == 130
    assert "the same command goes on from there" in rest
    assert "Traceback" not in rest
    assert not (project / "stopped").exists()


def test_several_recipes_make_one_table(project: Path) -> None:
    ran = kedge(
        "convert", *DATA, "--recipe", "float32,ptq_w8a8", "--max-drop", "0.05", "--out", "table",
        cwd=project,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "original" in ran.out
    assert "chosen: ptq_w8a8" in ran.out
    assert "Latency on this computer, one thread" in ran.out
    plain = json.loads((project / "table" / "comparison.json").read_text())
    rows = {row["name"]: row for row in plain["rows"]}
    assert rows["float32"]["latency_ratio"] == 1
    assert rows["ptq_w8a8"]["latency_us"] > 0
    assert rows["ptq_w8a8"]["latency_ratio"] > 0
    assert (project / "table" / "comparison.json").is_file()
    assert (project / "table" / "ptq_w8a8" / "model.tflite").is_file()


@pytest.mark.parametrize("value", ["1", "-0.1", "much"])
def test_a_budget_that_is_no_share_is_refused(project: Path, value: str) -> None:
    ran = kedge("convert", *DATA, f"--max-drop={value}", "--out", "x", cwd=project)
    assert ran.code == 2
    assert not (project / "x").exists()


def test_a_board_that_nobody_knows_is_refused_before_the_work(project: Path) -> None:
    ran = kedge("convert", *DATA, "--latency-on", "absent", "--out", "w", cwd=project)
    assert_refused(ran, 3, "absent")
    assert not (project / "w").exists()


def test_an_unknown_recipe_in_a_list_is_refused(project: Path) -> None:
    ran = kedge("convert", *DATA, "--recipe", "ptq_w8a8,magic", "--out", "y", cwd=project)
    assert_refused(ran, 3, "magic")
    assert not (project / "y").exists()


def test_a_dry_run_shows_the_steps_and_writes_nothing(project: Path) -> None:
    ran = kedge(
        "convert", *DATA, "--recipe", "qat_w8a8,ptq_w8a8", "--dry-run", "--out", "z", "--json",
        cwd=project,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert [planned["recipe"] for planned in ran.json["plans"]] == ["qat_w8a8", "ptq_w8a8"]
    assert ran.json["plans"][0]["steps"][0]["values"]["epochs"] == "auto"
    assert not (project / "z").exists()
