"""Times of the operators: their plain form and their table."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from device_agent.contract.op_times import OpTime, OpTimes
from toolkit.report import words
from toolkit.report.tables import Block, Table

#: Number of the slowest steps that are shown; all are in the JSON.
MOST_SHOWN = 20
#: Number of the slowest steps that a result keeps.
MOST_KEPT = 100
#: Characters of a name that a result keeps.
_LONGEST_NAME = 200


def stored_op_times(times: OpTimes | None) -> dict[str, Any] | None:
    """Return the times as a result keeps them: bounded, the quick steps as a single one.

    Args:
        times: Times; `None` where they were not requested.
    """
    if times is None:
        return None
    slowest = sorted(times.steps, key=lambda step: -step.median_us)[:MOST_KEPT]
    steps = [_shorten_names(step) for step in times.steps if any(step is each for each in slowest)]
    count = len(times.steps) - len(steps)
    if count:
        rest_us = times.total_us - sum(step.median_us for step in steps)
        steps.append(OpTime(f"{count} others", "", rest_us))
    return asdict(replace(times, steps=steps, reason=times.reason[:_LONGEST_NAME]))


def _shorten_names(step: OpTime) -> OpTime:
    names = {name: getattr(step, name)[:_LONGEST_NAME] for name in ("op", "executor", "layer")}
    return replace(step, **names)


def plain_op_times(times: OpTimes | None) -> dict[str, Any] | None:
    """Return the times for a program; `None` where they were not requested."""
    if times is None:
        return None
    from toolkit.judge.op_times import judge_op_times  # NumPy: `--help` need not wait for it

    verdict, reason = judge_op_times(times)
    return {
        "runs": times.runs,
        "reason": times.reason or None,
        "verdict": None if times.reason else verdict,
        "verdict_reason": None if times.reason else reason,
        "whole_us": times.whole_us,
        "whole_ci_us": [times.whole_low_us, times.whole_high_us],
        "interrupted": times.interrupted,
        "steps": [
            {
                "op": step.op,
                "executor": step.executor,
                "median_us": step.median_us,
                "ci_us": [step.low_us, step.high_us],
                "layer": step.layer or None,
                "macs": step.macs,
            }
            for step in times.steps
        ],
    }


def describe_op_times(times: OpTimes) -> list[Block]:
    """Return the slowest steps, or why there are none."""
    if times.reason:
        return [f"no per-operator times: {times.reason}"]
    numbered = sorted(enumerate(times.steps, 1), key=lambda pair: -pair[1].median_us)
    whole = max(times.total_us, times.whole_us) or 1.0
    rows = [
        [
            f"{number}: {step.op}",
            step.layer,
            step.executor,
            words.duration(step.median_us) if step.median_us else "below 1 us",
            f"{step.low_us:g} to {step.high_us:g} us" if step.high_us else "",
            words.percent(step.median_us / whole) if step.median_us else "",
            "" if step.macs is None else f"{step.macs:,}",
        ]
        for number, step in numbered[:MOST_SHOWN]
    ]
    rest = len(times.steps) - len(rows)
    more = f", the other {rest} are in --json" if rest > 0 else ""
    title = f"operators with 1 thread, medians of {times.runs} profiled runs, slowest first{more}"
    from toolkit.judge.op_times import judge_op_times  # NumPy: `--help` need not wait for it

    verdict, reason = judge_op_times(times)
    columns = ["step", "layer", "executor", "time", "95 % interval", "share", "MACs"]
    return [
        f"{verdict}: {reason}",
        Table(title, columns, rows, ("95 % interval", "MACs", "executor")),
    ]
