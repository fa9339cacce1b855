"""Inferences a second of several processes at the same time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from targets.board_run import BoardRun
from toolkit.judge.statistics import median_interval

#: Share of the largest throughput from which on more processes add nothing that counts.
SATURATION = 0.95


@dataclass(frozen=True)
class Throughput:
    """Inferences a second of all processes together."""

    per_second: float
    """Median over the rounds."""
    interval: tuple[float, float]
    """Bounds that enclose the median, with the confidence of the row's latency."""


def rounds_of(runs: Sequence[BoardRun], streams: int) -> list[Sequence[BoardRun]]:
    """Return the processes that ran at the same time.

    Args:
        runs: Run of each process, those of one round behind each other.
        streams: Number of processes of a round.
    """
    return [runs[first : first + streams] for first in range(0, len(runs), streams)]


def throughput_of(runs: Sequence[BoardRun], streams: int) -> Throughput:
    """Compute the throughput of rounds of processes.

    The rate of a round is the sum of the rates of its processes, each the number of its runs over
    the time of its loop.

    Args:
        runs: Run of each process, those of one round behind each other.
        streams: Number of processes of a round.
    """
    rates = [
        sum(1e9 * len(run.samples_ns) / max(1, run.run.wall_ns) for run in one_round)
        for one_round in rounds_of(runs, streams)
    ]
    low, high, _ = median_interval(rates)
    return Throughput(median(rates), (low, high))


def saturation(rates: Sequence[float]) -> int:
    """Return the position of the first rate that reaches `SATURATION` of the largest.

    Args:
        rates: Inferences a second, by growing number of processes.
    """
    enough = SATURATION * max(rates)
    return next(position for position, rate in enumerate(rates) if rate >= enough)
