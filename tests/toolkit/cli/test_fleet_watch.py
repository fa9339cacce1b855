"""What a person sees of a running rollout at a terminal: a live table, and a line for a failure."""

import os
import pty
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from toolkit.cli.fleet_watch import watch_rollout
from toolkit.fleet.engine import RolloutEvent

BOARDS = {"ant": (1, "pending"), "bee": (1, "pending"), "cow": (2, "pending")}
EVENTS = (
    RolloutEvent(1.0, "begin", "ant", "stage", "pending", wave=1),
    RolloutEvent(1.0, "begin", "bee", "stage", "pending", wave=1),
    RolloutEvent(1.0, "begin", "cow", "stage", "pending", wave=2),
    RolloutEvent(2.0, "result", "ant", "stage", "staged", wave=1),
    RolloutEvent(
        3.0,
        "result",
        "bee",
        "stage",
        "failed",
        "its disk is full\n\x1b[2Jerror: fake",
        1,
        "Free some space.",
    ),
    RolloutEvent(5.0, "status", state="stopping", reason="wave 1: 1 of 2 failed"),
)


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Standard error is a terminal of 80 columns meanwhile; give what it shows."""
    ours, theirs = pty.openpty()
    chunks: list[bytes] = []

    def read() -> None:
        while True:
            try:
                chunks.append(os.read(ours, 4096))
            except OSError:
                return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        yield chunks
        monkeypatch.undo()
    reader.join(5)
    os.close(ours)


def test_a_terminal_shows_a_table_and_one_line_for_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with terminal(monkeypatch) as chunks, watch_rollout(dict(BOARDS), as_json=False) as watch:
        for event in EVENTS:
            watch(event)
    shown = b"".join(chunks).decode()

    assert "wave" in shown
    assert "staged" in shown
    assert "stage 1" in shown  # cow, still
    assert shown.count("bee: stage: failed: its disk is full") == 1
    assert shown.count("  → Free some space.") == 1
    assert "\x1b[2J" not in shown
    assert "\n  \\x1b[2Jerror: fake" in shown  # a board's words are at no left edge
    assert "the rollout is stopping: wave 1: 1 of 2 failed" in shown
    last = shown[shown.rindex("stopping") :]
    assert last.rstrip().endswith(("\x1b[2K", "\x1b[?25h"))  # the table is gone at the end


def test_a_program_gets_a_line_of_json_for_each_event(capsys: pytest.CaptureFixture[str]) -> None:
    with watch_rollout(dict(BOARDS), as_json=True) as watch:
        watch(EVENTS[4])
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1
    assert '"hint": "Free some space."' in out
