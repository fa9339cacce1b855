"""Whether a measurement can be trusted, and why not. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from device_agent.contract.facts import Facts
from device_agent.contract.measurement import LEAST_RUNS
from targets.board_run import BoardRun
from toolkit.judge.disturbance import clock_jump, disturbances, warnings
from toolkit.judge.fallback import silent_fallback
from toolkit.judge.frequency import frequency_movement
from toolkit.judge.pace import pace_of
from toolkit.judge.soak import LEAKS, SLOWS, soak_of
from toolkit.judge.statistics import CONFIDENCE, PROCESSES, Latency
from toolkit.judge.steady import STEADY_RATIO, unsteadiness

VALID = "VALID"
UNSTABLE = "UNSTABLE"
INVALID = "INVALID"

#: Other programs that use more than this share of one core disturb caches, memory and clock.
COMPETING_LOAD = 0.25


@dataclass(frozen=True)
class Verdict:
    """VALID, UNSTABLE (measured, but the figure moves) or INVALID (it says nothing)."""

    kind: str
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """Facts that a person should know although the figure is valid."""


def judge_runs(facts: Facts, runs: Sequence[BoardRun], figure: Latency) -> Verdict:
    """Judge a measurement.

    Args:
        facts: Facts of the board, as the agent reports them.
        runs: Run of each fresh process.
        figure: Latency that was computed from them.
    """
    notes = tuple(warnings(runs) + _weak_interval(figure))
    invalid = silent_fallback(runs) + disturbances(runs)
    if facts.emulated:
        invalid.insert(0, f"emulated: {facts.machine} on an x86 CPU, its speed means nothing")
    if invalid:
        return Verdict(INVALID, tuple(invalid), notes)
    unstable = _unstable(runs, figure)
    return Verdict(UNSTABLE if unstable else VALID, tuple(unstable), notes)


def is_settled(figure: Latency) -> bool:
    """Whether the interval of the median is no wider than a steady figure may move."""
    low, high = figure.interval_us
    return high <= STEADY_RATIO * low


def _weak_interval(figure: Latency) -> list[str]:
    count = len(figure.process_medians_us)
    if count == 1:
        return ["one process only: nothing is said about how processes differ"]
    if figure.confidence >= CONFIDENCE:
        return []
    return [
        f"{count} processes only: the interval encloses the median with "
        f"{figure.confidence:.0%} ({PROCESSES} give 97%)"
    ]


def _unstable(runs: Sequence[BoardRun], figure: Latency) -> list[str]:
    reasons = []
    fewest = min(len(run.samples_ns) for run in runs)
    if fewest < LEAST_RUNS:
        reasons.append(f"too few samples: {fewest} of one process, {LEAST_RUNS} are the least")
    low, high = figure.interval_us
    if not is_settled(figure):
        reasons.append(
            f"fresh processes differ by {high / low - 1:.0%}: {_figure(low)} to {_figure(high)} us"
        )
    competing = median(run.run.others_cores for run in runs)
    if competing > COMPETING_LOAD:
        reasons.append(f"competing load: other programs used {competing:.0%} of a core meanwhile")
    movement = frequency_movement(runs)
    if movement is not None:
        reasons.append(str(movement))
    jump = clock_jump(runs)
    if jump is not None:
        reasons.append(jump)
    return (
        reasons
        + _unsteady(runs)
        + _moved(runs, figure)
        + _cannot_keep_up(runs, figure)
        + _trends(runs)
    )


def _unsteady(runs: Sequence[BoardRun]) -> list[str]:
    moves = [unsteadiness(run.samples_ns) for run in runs]
    moving = sum(share > 0 for share in moves)
    if moving <= len(moves) / 2:
        return []
    return [
        f"no steady state: {moving} of {len(moves)} processes drift by more than "
        f"{STEADY_RATIO - 1:.0%} (up to {max(moves):.0%})"
    ]


def _moved(runs: Sequence[BoardRun], figure: Latency) -> list[str]:
    """A whole inference holds an invoke: where it takes less, the two loops saw two speeds.

    Requests at a fixed rate are left out: their pauses make `invoke` slower.
    """
    wholes = [median(run.end_to_end_ns) / 1e3 for run in runs if run.end_to_end_ns]
    if runs[0].run.period_ns or not wholes or figure.median_us <= STEADY_RATIO * median(wholes):
        return []
    return [
        f"the board's speed moved: whole inferences took {_figure(median(wholes))} us, and in the "
        f"loop before invoke alone {_figure(figure.median_us)} us"
    ]


def _cannot_keep_up(runs: Sequence[BoardRun], figure: Latency) -> list[str]:
    period_us = runs[0].run.period_ns / 1e3
    pace = pace_of(runs)
    if pace is None:
        return []
    if figure.median_us <= period_us:
        if pace.missed <= pace.requests / 2:
            return []
        return [
            f"the board cannot keep up: {pace.missed} of {pace.requests} requests were not "
            f"answered before the next one came, after {_figure(period_us)} us"
        ]
    return [
        f"the model cannot keep up: a run takes {_figure(figure.median_us)} us, a request comes "
        f"every {_figure(period_us)} us, so the longer it lasts the longer they wait"
    ]


def _trends(runs: Sequence[BoardRun]) -> list[str]:
    reasons = []
    for soak in filter(None, map(soak_of, runs)):
        if LEAKS in soak.verdict and soak.memory is not None:
            hours, each = soak.trend_unit
            slope, low, high = (
                hours * figure / 1024 for figure in (soak.memory.slope, *soak.memory.interval)
            )
            reasons.append(
                f"leaks memory: {slope:,.0f} KiB{each} (95 % interval {low:,.0f} to {high:,.0f})"
            )
        if SLOWS in soak.verdict and soak.slowing is not None:
            hours, each = soak.trend_unit
            reasons.append(f"gets slower by {hours * soak.slowing:.1%}{each}")
    return reasons


def _figure(microseconds: float) -> str:
    return f"{microseconds:.4g}" if microseconds < 1000 else f"{microseconds:,.0f}"
