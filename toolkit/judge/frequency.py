"""Whether the clock of a board moved while it timed something. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from targets.device import BoardRun

#: An inference takes as many cycles at any frequency, so a clock that moves by this share moves the
#: latency by as much: what `steady.py` allows, and no more.
MOVED_RATIO = 1.10

#: A timed loop may spend this share of its time at another frequency: then its median, and those of
#: nine windows in ten, are still of one frequency.
ELSEWHERE_SHARE = 0.10

_LOOP = ("begin", "during", "end")


@dataclass(frozen=True)
class Movement:
    """The lowest and the highest frequency that counted."""

    low_khz: float
    high_khz: float
    elsewhere: float | None = None
    """Share of the time off the usual frequency, where the kernel counts it."""

    def __str__(self) -> str:
        text = f"the CPU frequency moved from {self.low_khz / 1e3:.0f} to {self.high_khz / 1e3:.0f}"
        share = "" if self.elsewhere is None else f" ({self.elsewhere:.0%} of the time elsewhere)"
        return f"{text} MHz while it ran{share}"


def frequency_movement(runs: Sequence[BoardRun]) -> Movement | None:
    """Return how the frequency moved within the timed loops, or between them; `None` if it stayed.

    The fastest CPU of each moment is looked at: the scheduler keeps a busy thread there, and the
    idle ones may rest. Where the kernel counts the time at each frequency, the counts decide;
    else single readings do.
    """
    counted = [shift for run in runs if (shift := _counted(run)) is not None]
    for shift in counted:
        if shift.elsewhere is not None and shift.elsewhere > ELSEWHERE_SHARE:
            return shift
    tops: list[float]
    if counted:
        tops = [shift.high_khz for shift in counted]
    else:
        moments = [seen for run in runs for seen in run.conditions if seen.moment in _LOOP]
        tops = [max(seen.frequency_khz.values()) for seen in moments if seen.frequency_khz]
    if tops and max(tops) > MOVED_RATIO * min(tops):
        return Movement(min(tops), max(tops))
    return None


def _counted(run: BoardRun) -> Movement | None:
    """What the counters say of one loop: its usual frequency, and the share of time off it.

    Of several policies (clusters of cores), the one that ran fastest on average.
    """
    moments = {seen.moment: seen.time_in_state for seen in run.conditions}
    begin, end = moments.get("begin", {}), moments.get("end", {})
    spent = [_spent(begin[policy], end[policy]) for policy in begin if policy in end]
    spent = [times for times in spent if times]
    if not spent:
        return None
    times = max(spent, key=lambda one: sum(khz * t for khz, t in one.items()) / sum(one.values()))
    usual = times.most_common(1)[0][0]
    off = {khz: t for khz, t in times.items() if max(khz, usual) > MOVED_RATIO * min(khz, usual)}
    extremes = [*off, usual]
    elsewhere = sum(off.values()) / sum(times.values())
    if elsewhere > ELSEWHERE_SHARE:
        return Movement(min(extremes), max(extremes), elsewhere)
    return Movement(usual, usual, elsewhere)


def _spent(begin: Mapping[str, int], end: Mapping[str, int]) -> Counter[int]:
    return Counter(
        {int(khz): end[khz] - begin.get(khz, 0) for khz in end if end[khz] > begin.get(khz, 0)}
    )
