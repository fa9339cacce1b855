"""How many fresh processes a setting is measured in."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from device_agent.contract.facts import Facts
from targets.board_run import BoardRun
from targets.device import Device
from targets.jobs import ProcessSettings
from targets.staged_file import StagedFile
from tests.toolkit.measurements import FACTS, board_run
from toolkit.judge.row import Row
from toolkit.judge.verdict import INVALID, UNSTABLE, VALID
from toolkit.measure.quality import QUALITIES
from toolkit.measure.rows import measure_row, one_process

QUIET = (100, 101, 99, 100, 102, 100)


class ScriptedBoard:
    """A board whose processes take what is written down, in hundredths of a millisecond."""

    def __init__(self, medians: Sequence[int], facts: Facts = FACTS) -> None:
        self.facts = facts
        self._medians = iter(medians)
        self.jobs = self

    def benchmark(self, staged: StagedFile, one: ProcessSettings, on_progress: Any) -> BoardRun:
        return board_run([10_000 * next(self._medians)] * 60)


def measured(medians: Sequence[int], quality: str = "standard") -> Row:
    found, staged = QUALITIES[quality], StagedFile("a" * 64, 1, "/x", 1)
    device = cast(Device, ScriptedBoard(medians))
    one = one_process(1, found.duration_s / found.processes)
    return measure_row(device, staged, one, found.processes, found.rounds, lambda *_: None)


def test_a_quiet_board_is_asked_for_six_processes() -> None:
    row = measured(QUIET)
    assert (len(row.runs), row.verdict.kind) == (6, VALID)


@pytest.mark.parametrize("disturbed", [115, 300])
def test_one_disturbed_process_costs_six_more_and_not_the_verdict(disturbed: int) -> None:
    row = measured((*QUIET[:5], disturbed, *QUIET))

    assert (len(row.runs), row.verdict.kind) == (12, VALID)
    assert row.latency.interval_us == (1000, 1020)
    assert row.latency.slowest_us == 10 * disturbed, "none is dropped"


def test_a_board_of_two_speeds_stays_unstable() -> None:
    row = measured((78, 125, 80, 124, 126, 79) * 2)

    assert (len(row.runs), row.verdict.kind) == (12, UNSTABLE)
    assert "fresh processes differ by 58%" in row.verdict.reasons[0]


def test_an_emulated_board_is_measured_once() -> None:
    emulated = replace(FACTS, emulated=True)
    board = cast(Device, ScriptedBoard((78, 125, 80, 124, 126, 79), emulated))
    staged, one = StagedFile("a" * 64, 1, "/x", 1), one_process(1, 1.0)
    row = measure_row(board, staged, one, 6, 2, lambda *_: None)

    assert (len(row.runs), row.verdict.kind) == (6, INVALID)


def test_a_quick_look_is_not_repeated() -> None:
    row = measured((78, 125), "quick")
    assert (len(row.runs), row.verdict.kind) == (2, UNSTABLE)
