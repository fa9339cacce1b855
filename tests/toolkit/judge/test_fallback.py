"""A delegate that was to compute and did not: the figure is of the CPU, and says so."""

from dataclasses import replace

import pytest

from device_agent.contract.placement import Placement
from tests.toolkit.measurements import FACTS, board_run
from toolkit.judge.fallback import silent_fallback
from toolkit.judge.statistics import latency
from toolkit.judge.verdict import INVALID, judge_runs

SAMPLES = [100_000] * 90
ON_CPU = {"XNNPACK": {"CONV_2D": 9}, "builtin": {"SOFTMAX": 1}}


def test_a_delegate_that_computed_nothing_is_invalid() -> None:
    run = board_run(SAMPLES)
    runs = [replace(run, run=replace(run.run, placement=Placement(ON_CPU, "edgetpu")))] * 6
    found = judge_runs(FACTS, runs, latency([SAMPLES] * 6))

    assert found.kind == INVALID
    assert found.reasons[0].startswith(
        "silent CPU fallback: edgetpu was loaded, but computes none of the 10 ops"
    )


@pytest.mark.parametrize(
    "placement",
    [
        Placement(ON_CPU),
        Placement({"edgetpu": {"edgetpu-custom-op": 1}, "builtin": {"SOFTMAX": 1}}, "edgetpu"),
        None,
    ],
    ids=["none-asked-for", "it-computes", "not-told"],
)
def test_all_else_is_no_fallback(placement: Placement | None) -> None:
    run = board_run(SAMPLES)

    assert silent_fallback([replace(run, run=replace(run.run, placement=placement))]) == []
