"""Times of the operators: their plain form and their table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.report import words
from toolkit.report.tables import Block, Table

if TYPE_CHECKING:
    from device_agent.contract.op_times import OpTimes

#: Number of the slowest steps that are shown; all are in the JSON.
MOST_SHOWN = 20


def plain_op_times(times: OpTimes | None) -> dict[str, Any] | None:
    """Return the times for a program; `None` where they were not requested."""
    if times is None:
        return None
    steps = [
        {"op": step.op, "executor": step.executor, "median_us": step.median_us}
        for step in times.steps
    ]
    return {"runs": times.runs, "reason": times.reason or None, "steps": steps}


def describe_op_times(times: OpTimes) -> list[Block]:
    """Return the slowest steps, or why there are none."""
    if times.reason:
        return [f"no per-operator times: {times.reason}"]
    numbered = sorted(enumerate(times.steps, 1), key=lambda pair: -pair[1].median_us)
    total = times.total_us or 1.0
    rows = [
        [
            f"{number}: {step.op}",
            step.executor,
            words.duration(step.median_us) if step.median_us else "below 1 us",
            words.percent(step.median_us / total),
        ]
        for number, step in numbered[:MOST_SHOWN]
    ]
    rest = len(times.steps) - len(rows)
    more = f", the other {rest} are in --json" if rest > 0 else ""
    title = f"operators with 1 thread, medians of {times.runs} profiled runs, slowest first{more}"
    return [Table(title, ["step", "executor", "time", "share"], rows)]
