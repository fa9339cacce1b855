"""When a measurement is not to be trusted."""

from dataclasses import replace
from typing import Any

import pytest

from device_agent.contract.conditions import Conditions
from device_agent.contract.measurement import KernelClass, ProcessRun
from targets.device import BoardRun
from toolkit.statistics import latency
from toolkit.verdict import INVALID, UNSTABLE, VALID, Verdict, judge

QUIET = Conditions(load_1min=0.1, swap_used_bytes=0)
RUN = ProcessRun(
    kernel_class=KernelClass("aarch64", "ai-edge-litert", "2.3.0"),
    numpy_version="1.26.4",
    threads=1,
    import_ns=1,
    load_ns=1,
    allocate_ns=1,
    first_invoke_ns=1,
    warmup_runs=1,
    cpu_ns=1,
    wall_ns=1,
    peak_rss_bytes=1,
    samples="",
    sample_count=90,
)


def verdict(
    samples: list[list[int]], conditions: tuple[Conditions, ...] = (QUIET, QUIET), **facts: Any
) -> Verdict:
    runs = [BoardRun(RUN, tuple(one), conditions) for one in samples]
    board = {"emulated": False, "machine": "aarch64", **facts}
    return judge(board, runs, latency(samples))


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
    busy = [BoardRun(replace(RUN, others_cores=0.6), tuple(STEADY[0]), (QUIET,))] * 6
    found = judge({"emulated": False, "machine": "aarch64"}, busy, latency(STEADY))
    assert found.kind == UNSTABLE
    assert "60%" in found.reasons[0]


def test_a_drift_in_most_processes_is_unstable() -> None:
    drifting = [100_000] * 30 + [110_000] * 30 + [140_000] * 30
    found = verdict([drifting] * 6)
    assert found.kind == UNSTABLE
    assert "no steady state" in found.reasons[0]
