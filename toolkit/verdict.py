"""Whether a measurement can be trusted, and why not. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from targets.device import BoardRun
from toolkit.statistics import STEADY_RATIO, Latency, drift

VALID = "VALID"
UNSTABLE = "UNSTABLE"
INVALID = "INVALID"

#: Other programs that use more than this share of one core disturb caches, memory and clock.
COMPETING_LOAD = 0.25

#: Bits of Raspberry Pi's get_throttled that mean "now"; the upper half only means "since boot".
_THROTTLED_NOW = {
    0: "under-voltage",
    1: "the frequency is capped",
    2: "throttled",
    3: "soft temperature limit",
}


@dataclass(frozen=True)
class Verdict:
    """VALID, UNSTABLE (measured, but the figure moves) or INVALID (it says nothing)."""

    kind: str
    reasons: tuple[str, ...] = ()


def judge(facts: Mapping[str, Any], runs: Sequence[BoardRun], figure: Latency) -> Verdict:
    """Judge a measurement.

    Args:
        facts: What the agent says of its board.
        runs: One for each fresh process.
        figure: What was computed from them.
    """
    invalid = _invalid(facts, runs)
    if invalid:
        return Verdict(INVALID, tuple(invalid))
    unstable = _unstable(runs, figure)
    return Verdict(UNSTABLE, tuple(unstable)) if unstable else Verdict(VALID)


def _invalid(facts: Mapping[str, Any], runs: Sequence[BoardRun]) -> list[str]:
    reasons = []
    if facts["emulated"]:
        reasons.append(f"emulated: {facts['machine']} on an x86 CPU, its speed means nothing")
    conditions = [seen for run in runs for seen in run.conditions]
    bits = {
        bit for seen in conditions for bit in _THROTTLED_NOW if (seen.throttled or 0) >> bit & 1
    }
    reasons += [_THROTTLED_NOW[bit] + " while it ran" for bit in sorted(bits)]
    swap = [seen.swap_used_bytes for seen in conditions if seen.swap_used_bytes is not None]
    if swap and swap[-1] > swap[0]:
        reasons.append("the board began to swap while it ran")
    return reasons


def _unstable(runs: Sequence[BoardRun], figure: Latency) -> list[str]:
    reasons = []
    low, high = figure.interval_us
    if high > STEADY_RATIO * low:
        reasons.append(
            f"fresh processes differ by {high / low - 1:.0%}: {low:.4g} to {high:.4g} us"
        )
    competing = median(run.run.others_cores for run in runs)
    if competing > COMPETING_LOAD:
        reasons.append(f"competing load: other programs used {competing:.0%} of a core meanwhile")
    drifts = [drift(run.samples_ns) for run in runs]
    moving = sum(ratio > STEADY_RATIO for ratio in drifts)
    if moving > len(drifts) / 2:
        reasons.append(
            f"no steady state: {moving} of {len(drifts)} processes drift by more than "
            f"{STEADY_RATIO - 1:.0%} (up to {max(drifts) - 1:.0%})"
        )
    return reasons
