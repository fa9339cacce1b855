"""A board in this process whose clocks a test sets."""

from pathlib import Path

import pytest

from tests.device_agent.releases.session import SampleBoard, SampleClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SampleClock:
    clock = SampleClock()
    clock.install(monkeypatch)
    return clock


@pytest.fixture
def board(tmp_path: Path, clock: SampleClock) -> SampleBoard:
    return SampleBoard(tmp_path / "root")
