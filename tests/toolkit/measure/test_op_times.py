"""Times of operators: shown, and never at the cost of the measurement before them."""

from types import SimpleNamespace
from typing import Any

from device_agent.contract.op_times import OpTime, OpTimes
from targets.agent_client import AgentError
from toolkit.measure.op_times import ask_op_times
from toolkit.report.op_times import MOST_SHOWN, describe_op_times, plain_op_times
from toolkit.report.tables import Table

TIMES = OpTimes([OpTime("CONV", "XNNPACK", 90.0), OpTime("SOFTMAX", "builtin", 10.0)], 100)


def test_a_board_that_fails_to_profile_costs_nothing_but_the_profile() -> None:
    def fail(*_: Any) -> OpTimes:
        raise AgentError("child_died", "pi: the inference process died: it crashed\nlast words")

    found = ask_op_times(SimpleNamespace(jobs=SimpleNamespace(profile=fail)), None)  # type: ignore[arg-type]

    assert found.steps == []
    assert found.reason == "pi: the inference process died: it crashed"


def test_the_slowest_are_shown_first_with_their_share() -> None:
    (table,) = describe_op_times(TIMES)

    assert isinstance(table, Table)
    assert table.rows == [
        ["1: CONV", "XNNPACK", "90.0 us", "90.00 %"],
        ["2: SOFTMAX", "builtin", "10.0 us", "10.00 %"],
    ]


def test_a_long_table_is_cut_and_says_so() -> None:
    (table,) = describe_op_times(OpTimes([OpTime("CONV", "XNNPACK", 1.0)] * (MOST_SHOWN + 3), 5))

    assert isinstance(table, Table)
    assert "the other 3 are in --json" in table.title


def test_a_reason_is_shown_instead() -> None:
    reason = OpTimes(reason="it does not tell them")
    assert describe_op_times(reason) == ["no per-operator times: it does not tell them"]


def test_a_program_gets_all_steps_or_the_reason() -> None:
    assert plain_op_times(None) is None
    assert plain_op_times(OpTimes(reason="no")) == {"runs": 0, "reason": "no", "steps": []}
    plain = plain_op_times(TIMES)
    assert plain is not None
    assert plain["steps"][0] == {"op": "CONV", "executor": "XNNPACK", "median_us": 90.0}
