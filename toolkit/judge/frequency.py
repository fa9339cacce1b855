"""Whether the clock of a board moved while it timed something. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from targets.board_run import BoardRun

#: An inference takes as many cycles at any frequency, so a clock that moves by this share moves the
#: latency by as much: what `steady.py` allows, and no more.
MOVED_RATIO = 1.10

#: A timed loop may spend this share of its time at another frequency: then its median, and those of
#: nine windows in ten, are still of one frequency.
ELSEWHERE_SHARE = 0.10

_LOOP = ("begin", "during", "end")


@dataclass(frozen=True)
class Movement:
    """Lowest and highest frequency that counted."""

    low_khz: float
    high_khz: float
    elsewhere: float | None = None
    """Share of the time off the usual frequency, 0-1; `None` where the kernel does not count it."""

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
    movements = [shift for run in runs if (shift := _movement_by_counters(run)) is not None]
    for shift in movements:
        if shift.elsewhere is not None and shift.elsewhere > ELSEWHERE_SHARE:
            return shift
    tops: list[float]
    if movements:
        tops = [shift.high_khz for shift in movements]
    else:
        readings = [entry for run in runs for entry in run.conditions if entry.moment in _LOOP]
        tops = [max(entry.frequency_khz.values()) for entry in readings if entry.frequency_khz]
    if tops and max(tops) > MOVED_RATIO * min(tops):
        return Movement(min(tops), max(tops))
    return None


def _movement_by_counters(run: BoardRun) -> Movement | None:
    """Return the usual frequency of one loop by the counters, and the share of time off it.

    The policy (cluster of cores) that ran fastest on average counts.
    """
    moments = {entry.moment: entry.time_in_state for entry in run.conditions}
    begin, end = moments.get("begin", {}), moments.get("end", {})
    policies = [_time_at(begin[policy], end[policy]) for policy in begin if policy in end]
    policies = [times for times in policies if times]
    if not policies:
        return None
    times = max(policies, key=_mean_khz)
    usual = times.most_common(1)[0][0]
    off = {khz: t for khz, t in times.items() if max(khz, usual) > MOVED_RATIO * min(khz, usual)}
    extremes = [*off, usual]
    elsewhere = sum(off.values()) / sum(times.values())
    if elsewhere > ELSEWHERE_SHARE:
        return Movement(min(extremes), max(extremes), elsewhere)
    return Movement(usual, usual, elsewhere)


def _mean_khz(times: Mapping[int, int]) -> float:
    return sum(khz * time for khz, time in times.items()) / sum(times.values())


def _time_at(begin: Mapping[str, int], end: Mapping[str, int]) -> Counter[int]:
    return Counter(
        {int(khz): end[khz] - begin.get(khz, 0) for khz in end if end[khz] > begin.get(khz, 0)}
    )
