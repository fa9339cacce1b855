"""Qualities of a measurement: numbers of fresh processes, and their time. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.judge.statistics import PROCESSES


@dataclass(frozen=True)
class Quality:
    """Effort of one row."""

    processes: int
    duration_s: float
    """Steady time of all processes of one round together."""
    rounds: int
    """Largest number of rounds; the next one only where the processes differ too much."""


#: quick: two processes show the worst of a cold start; a second is what TFLite's own
#: `benchmark_model` takes at the least. standard: the fewest processes with an interval of 95 %,
#: and ten seconds, as MLPerf Tiny asks for. thorough: twelve processes, so that the interval leaves
#: out the two wildest on each side.
QUALITIES = {
    "quick": Quality(2, 1.0, 1),
    "standard": Quality(PROCESSES, 10.0, 2),
    "thorough": Quality(2 * PROCESSES, 60.0, 2),
}
