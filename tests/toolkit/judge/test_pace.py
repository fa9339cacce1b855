"""What requests at fixed times saw, and what they cost in energy."""

from dataclasses import replace

import pytest

from device_agent.contract.conditions import Conditions
from device_agent.contract.facts import Facts
from targets.board_run import BoardRun
from tests.toolkit.measurements import board_run
from toolkit.judge.energy import energy_of
from toolkit.judge.pace import pace_of
from toolkit.judge.statistics import latency
from toolkit.judge.verdict import UNSTABLE, VALID, judge_runs

MS = 1_000_000
FACTS = Facts(machine="aarch64")


def paced(services: list[int], responses: list[int], requests: int) -> BoardRun:
    run = board_run(services)
    fields = replace(
        run.run, period_ns=10 * MS, requests=requests, warmup_ns=40 * MS, warmup_runs=20
    )
    return replace(run, run=fields, series={"responses": tuple(responses)})


def test_what_waited_or_was_never_served_is_missed() -> None:
    run = paced([MS] * 10, [2 * MS] * 7 + [10 * MS, 11 * MS, 40 * MS], requests=12)
    pace = pace_of([run, run])

    assert pace is not None
    assert (pace.rate_hz, pace.requests, pace.unserved, pace.missed) == (100, 24, 4, 8)
    assert pace.response.median_us == 2000
    assert pace.back_to_back_us == 2000
    assert judge_runs(FACTS, [run] * 6, latency([run.samples_ns])).kind == VALID


def test_a_model_that_cannot_keep_up_is_unstable() -> None:
    run = paced([15 * MS] * 20, [15 * MS + 5 * MS * k for k in range(20)], requests=30)
    found = judge_runs(FACTS, [run] * 6, latency([run.samples_ns] * 6))

    assert found.kind == UNSTABLE
    assert "cannot keep up" in found.reasons[0]
    assert "15,000 us" in found.reasons[0]


def test_requests_that_mostly_come_too_late_are_no_valid_figure() -> None:
    """A run is short enough, yet hardly any is done in time."""
    run = paced([8 * MS] * 20, [9 * MS] * 8 + [30 * MS] * 12, requests=30)
    found = judge_runs(FACTS, [run] * 6, latency([run.samples_ns] * 6))

    assert found.kind == UNSTABLE
    assert "132 of 180 requests were not answered before the next one came" in found.reasons[0]


def test_back_to_back_runs_have_no_pace() -> None:
    assert pace_of([board_run([MS] * 20)]) is None


def drawing(idle_mw: float | None, *at_work_mw: float) -> BoardRun:
    before = {} if idle_mw is None else {"VDD_IN": idle_mw, "VDD_CPU": 1.0}
    moments = ["begin", *["during"] * (len(at_work_mw) - 2), "end"]
    seen = [Conditions(moment="before", power_mw=before)] + [
        Conditions(moment=moment, power_mw={"VDD_IN": power, "VDD_CPU": 900.0})
        for moment, power in zip(moments, at_work_mw, strict=True)
    ]
    run = board_run([2 * MS] * 50, tuple(seen))
    return replace(run, run=replace(run.run, wall_ns=100 * MS))


def test_energy_is_power_times_time_and_the_input_rail_counts_alone() -> None:
    found = energy_of([drawing(4000.0, 5900.0, 6000.0, 6100.0)])

    assert found is not None
    assert found.rails == ("VDD_IN",)
    assert found.gross_uj == pytest.approx(6.0 * 2000)  # 6 W for 2 ms
    assert found.net_uj == pytest.approx(2.0 * 2000)
    assert found.readings == 3


def test_rails_without_an_input_count_together() -> None:
    seen = Conditions(moment="begin", power_mw={"VDD_GPU": 1000.0, "VDD_CPU": 500.0})
    run = board_run([MS] * 10, (seen,))
    found = energy_of([replace(run, run=replace(run.run, wall_ns=10 * MS))])

    assert found is not None
    assert found.rails == ("VDD_GPU", "VDD_CPU")
    assert found.gross_uj == pytest.approx(1.5 * 1000)
    assert found.net_uj is None


def test_no_sensor_no_figure() -> None:
    assert energy_of([board_run([MS] * 10, (Conditions(moment="begin"),))]) is None
