"""Latency of files for a conversion, by the agent that every computer can run."""

import re
from pathlib import Path

import pytest

from converters.errors import ConversionError
from converters.measure import FileFigures, FileRefusal
from targets.inventory import LOCAL, Target
from tests.edgetpu_model import edgetpu_model
from tests.tiny_model import add_model, never_runs_model, relu_model
from toolkit.measure import host_latency
from toolkit.measure.host_latency import measure_on


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """This computer, measured as briefly as can be."""
    monkeypatch.setattr(host_latency, "PROCESS_S", 0.01)
    return Target("here", LOCAL, root=str(tmp_path / "root"))


def test_all_files_are_measured_in_turn(board: Target, tmp_path: Path) -> None:
    files = [tmp_path / "one.tflite", tmp_path / "two.tflite"]
    files[0].write_bytes(relu_model())
    files[1].write_bytes(add_model())
    stages: list[str] = []
    answers = measure_on(board, lambda what, done, total: stages.append(what))(files)
    assert len(answers) == 2
    for answer in answers:
        assert isinstance(answer, FileFigures)
        assert 0 < answer.latency_us.low <= answer.latency_us.value <= answer.latency_us.high < 1e6
        memory = answer.memory_bytes
        assert 1e6 < memory.low <= memory.value <= memory.high < 1e10
    assert stages.count("measure in turn") == 2 * 6


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no model", r"bad\.tflite: is not a \.tflite"),
        (edgetpu_model(), "was compiled for the Edge TPU"),
        (never_runs_model(), "RESHAPE"),
    ],
    ids=["no model", "not admitted", "fails when run"],
)
def test_a_file_that_is_refused_spares_the_others(
    board: Target, tmp_path: Path, content: bytes, said: str
) -> None:
    files = [tmp_path / "one.tflite", tmp_path / "bad.tflite", tmp_path / "two.tflite"]
    for path, written in zip(files, (relu_model(), content, add_model()), strict=True):
        path.write_bytes(written)
    before, refusal, after = measure_on(board)(files)
    assert isinstance(before, FileFigures)
    assert isinstance(after, FileFigures)
    assert isinstance(refusal, FileRefusal)
    assert re.search(said, refusal.reason)


def test_no_board_is_connected_for_files_that_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "bad.tflite").write_bytes(b"no model")
    (refusal,) = measure_on(Target("off", "ssh://nobody@127.0.0.1:1"))([tmp_path / "bad.tflite"])
    assert isinstance(refusal, FileRefusal)
    assert refusal.exit_code == ConversionError.exit_code
