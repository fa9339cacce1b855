"""Latency of files for a conversion, by the agent that every computer can run."""

from pathlib import Path

import pytest

from converters.errors import ConversionError
from targets.inventory import LOCAL, Target
from tests.tiny_model import add_model, relu_model
from toolkit.measure import host_latency
from toolkit.measure.host_latency import latency_on


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
    found = latency_on(board, lambda what, done, total: stages.append(what))(files)
    assert len(found) == 2
    assert all(0 < microseconds < 1e6 for microseconds in found)
    assert stages.count("measure in turn") == 2 * 6


def test_what_no_runtime_loads_is_refused(board: Target, tmp_path: Path) -> None:
    (tmp_path / "bad.tflite").write_bytes(b"no model")
    with pytest.raises(ConversionError, match=r"bad\.tflite"):
        latency_on(board)([tmp_path / "bad.tflite"])
