"""Times of operators: shown, and never at the cost of the measurement before them."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from converters.model_file import OperatorWork
from device_agent.contract.op_times import OpTime, OpTimes, op_times_from_json
from targets.agent_client import AgentError
from toolkit.judge.op_times import judge_op_times, label_steps
from toolkit.measure.op_times import ask_op_times
from toolkit.report import words
from toolkit.report.op_times import (
    MOST_KEPT,
    MOST_SHOWN,
    describe_op_times,
    plain_op_times,
    stored_op_times,
)
from toolkit.report.tables import Table

CONV = OpTime("Convolution (NHWC, F32) GEMM", "XNNPACK", 90.0, 88.0, 91.0, "conv1", 2304)
SOFTMAX = OpTime("SOFTMAX", "builtin", 10.0, 10.0, 11.0)
TIMES = OpTimes([CONV, SOFTMAX], 100, "", 101.0, 99.0, 102.0)


def test_a_board_that_fails_to_profile_costs_nothing_but_the_profile() -> None:
    def fail(*_: Any) -> OpTimes:
        raise AgentError("child_died", "pi: the inference process died: it crashed\nlast words")

    device: Any = SimpleNamespace(jobs=SimpleNamespace(profile=fail))
    nothing: Any = None
    found = ask_op_times(device, nothing, nothing)

    assert found.steps == []
    assert found.reason == "pi: the inference process died: it crashed"


def test_the_slowest_are_shown_first_with_their_share() -> None:
    verdict, table = describe_op_times(TIMES)

    assert isinstance(table, Table)
    time = words.duration(90.0)
    assert table.rows == [
        [f"1: {CONV.op}", "conv1", "XNNPACK", time, "88 to 91 us", "89.11 %", "2,304"],
        ["2: SOFTMAX", "", "builtin", words.duration(10.0), "10 to 11 us", "9.90 %", ""],
    ]
    assert str(verdict).startswith("VALID: the steps add up to 100 us, a whole run without")


def test_a_step_below_a_microsecond_has_no_share_and_takes_none_from_the_others() -> None:
    softmax = OpTime("SOFTMAX", "builtin", 1.0, 1.0, 1.0)
    short = OpTime("Convolution (NHWC, QC8) IGEMM", "XNNPACK", 0.0)
    _, table = describe_op_times(OpTimes([softmax, short], 100, "", 4.0, 4.0, 4.0))

    assert isinstance(table, Table)
    shown = [row[3:6] for row in table.rows]
    assert shown == [[words.duration(1.0), "1 to 1 us", "25.00 %"], ["below 1 us", "", ""]]


@pytest.mark.parametrize(
    ("times", "verdict", "words_of_reason"),
    [
        (TIMES, "VALID", "add up to 100 us, a whole run without the profiler took 101.0 us"),
        (replace(TIMES, whole_low_us=198, whole_high_us=202), "UNSTABLE", "between the steps"),
        (replace(TIMES, whole_low_us=48, whole_high_us=52), "UNSTABLE", "runs others"),
        (replace(TIMES, whole_us=3.9, whole_low_us=3, whole_high_us=4), "TOO SHORT", "too coarse"),
        (replace(TIMES, interrupted=150), "UNSTABLE", "other programs took the core in 150 of 250"),
    ],
)
def test_the_sum_of_the_steps_is_judged_by_whole_runs(
    times: OpTimes, verdict: str, words_of_reason: str
) -> None:
    kind, reason = judge_op_times(times)
    assert kind == verdict
    assert words_of_reason in reason


def test_steps_have_the_layers_of_operators_that_are_as_many() -> None:
    step = OpTime("Convolution (NHWC, F32) IGEMM", "XNNPACK", 1.0)
    times = OpTimes([step, OpTime("Clamp (NC)", "XNNPACK", 1.0), step], 5)
    first = OperatorWork("CONV_2D", "stem", 100)
    both = [first, OperatorWork("RELU", "relu", 0), OperatorWork("DEPTHWISE_CONV_2D", "deep", 50)]
    labelled = label_steps(times, both).steps
    assert [(one.layer, one.macs) for one in labelled] == [("stem", 100), ("", None), ("deep", 50)]
    assert label_steps(times, [first]).steps == times.steps


def test_of_two_operators_of_one_name_the_work_is_not_guessed() -> None:
    times = OpTimes([OpTime("Conv", "CPU", 9.0, layer=name) for name in ("a", "a", "b")], 5)
    works = [OperatorWork("Conv", "a", 100), OperatorWork("Conv", "a", 7)]
    labelled = label_steps(times, [*works, OperatorWork("Conv", "b", 50)]).steps
    assert [(each.layer, each.macs) for each in labelled] == [("a", None), ("a", None), ("b", 50)]


def test_a_long_table_is_cut_and_says_so() -> None:
    _, table = describe_op_times(OpTimes([OpTime("CONV", "XNNPACK", 1.0)] * (MOST_SHOWN + 3), 5))

    assert isinstance(table, Table)
    assert "the other 3 are in --json" in table.title


def test_a_reason_is_shown_instead() -> None:
    reason = OpTimes(reason="it does not tell them")
    assert describe_op_times(reason) == ["no per-operator times: it does not tell them"]


def test_a_program_gets_all_steps_or_the_reason() -> None:
    assert plain_op_times(None) is None
    refused = plain_op_times(OpTimes(reason="no"))
    assert refused is not None
    assert (refused["reason"], refused["verdict"], refused["steps"]) == ("no", None, [])
    plain = plain_op_times(TIMES)
    assert plain is not None
    assert plain["verdict"] == "VALID"
    assert plain["steps"][0] == {
        "op": CONV.op, "executor": "XNNPACK", "median_us": 90.0, "ci_us": [88.0, 91.0],
        "layer": "conv1", "macs": 2304,
    }  # fmt: skip


def test_a_result_keeps_the_slowest_steps_and_the_time_of_all_others() -> None:
    many = OpTimes([OpTime("x" * 999, "XNNPACK", float(n), 0.0, 0.0) for n in range(1, 301)], 100)
    plain = stored_op_times(many)
    assert plain is not None
    kept = op_times_from_json(plain)
    assert len(kept.steps) == MOST_KEPT + 1
    assert kept.steps[-1].op == "200 others"
    assert kept.total_us == many.total_us
    assert len(kept.steps[0].op) == 200
    assert [step.median_us for step in kept.steps[:-1]] == [float(n) for n in range(201, 301)]
    assert stored_op_times(None) is None
