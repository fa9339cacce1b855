"""When a measurement is not to be trusted."""

from dataclasses import replace
from typing import Any

import pytest

from device_agent.contract.conditions import Conditions
from tests.toolkit.measurements import FACTS, board_run
from toolkit.judge.statistics import latency
from toolkit.judge.verdict import INVALID, UNSTABLE, VALID, Verdict, judge_runs

QUIET = Conditions(load_1min=0.1, swap_used_bytes=0)


def verdict(
    samples: list[list[int]], conditions: tuple[Conditions, ...] = (QUIET, QUIET), **facts: Any
) -> Verdict:
    runs = [board_run(one, conditions) for one in samples]
    return judge_runs(replace(FACTS, **facts), runs, latency(samples))


STEADY = [[100_000] * 90] * 6


def test_steady_and_alike_is_valid() -> None:
    assert verdict(STEADY) == Verdict(VALID)


def test_an_emulated_board_is_never_valid() -> None:
    found = verdict(STEADY, emulated=True)
    assert found.kind == INVALID
    assert "emulated" in found.reasons[0]


@pytest.mark.parametrize(
    ("bits", "word"), [(0b1, "under-voltage"), (0b100, "throttled"), (0b1000, "temperature")]
)
def test_a_throttled_raspberry_pi_is_invalid(bits: int, word: str) -> None:
    found = verdict(STEADY, (QUIET, QUIET._replace(throttled=bits), QUIET))
    assert found.kind == INVALID
    assert word in found.reasons[0]


def test_a_throttling_before_this_run_proves_nothing() -> None:
    since_boot = QUIET._replace(throttled=0x50000)
    assert verdict(STEADY, (since_boot, since_boot)).kind == VALID


def test_swapping_while_it_ran_is_invalid() -> None:
    found = verdict(STEADY, (QUIET, QUIET._replace(swap_used_bytes=4096)))
    assert found.kind == INVALID


def test_processes_that_differ_are_unstable() -> None:
    found = verdict([*STEADY[:5], [130_000] * 90])
    assert found.kind == UNSTABLE
    assert "30%" in found.reasons[0]


def test_other_programs_at_work_make_it_unstable() -> None:
    quiet = board_run(STEADY[0], (QUIET,))
    busy = [replace(quiet, run=replace(quiet.run, others_cores=0.6))] * 6
    found = judge_runs(FACTS, busy, latency(STEADY))
    assert found.kind == UNSTABLE
    assert "60%" in found.reasons[0]


def test_a_drift_in_most_processes_is_unstable() -> None:
    drifting = [100_000] * 30 + [110_000] * 30 + [140_000] * 30
    found = verdict([drifting] * 6)
    assert found.kind == UNSTABLE
    assert "no steady state" in found.reasons[0]


@pytest.mark.parametrize(("period_ns", "kind"), [(0, UNSTABLE), (1_000_000, VALID)])
def test_a_whole_inference_that_takes_less_than_invoke_alone_shows_two_speeds(
    period_ns: int, kind: str
) -> None:
    """At a fixed rate it is the pauses that make `invoke` slower."""
    first = board_run(STEADY[0], (QUIET,))
    count = len(first.samples_ns)
    run = replace(first.run, period_ns=period_ns, requests=count, warmup_runs=1)
    series = {"responses": first.samples_ns}
    seen = replace(first, run=run, end_to_end_ns=(80_000,) * 9, series=series)
    found = judge_runs(FACTS, [seen] * 6, latency(STEADY))

    assert found.kind == kind
    assert ("the board's speed moved" in "".join(found.reasons)) is (kind == UNSTABLE)
