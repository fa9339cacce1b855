"""One setting of a model on a board: the figures of its processes and their verdict. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from device_agent.contract.facts import Facts
from device_agent.contract.placement import Placement
from targets.device import BoardRun
from toolkit.judge.energy import Energy, energy_of
from toolkit.judge.pace import Pace, pace_of
from toolkit.judge.soak import Soak, soak_of
from toolkit.judge.statistics import Latency, latency
from toolkit.judge.verdict import Verdict, judge


@dataclass(frozen=True)
class Row:
    """One setting, measured."""

    threads: int
    latency: Latency
    """Of `invoke` alone."""
    end_to_end: Latency
    """Of the whole inference: quantize, set, invoke, get, dequantize."""
    verdict: Verdict
    runs: tuple[BoardRun, ...]

    @property
    def pace(self) -> Pace | None:
        """Of requests at a fixed rate."""
        return pace_of(self.runs)

    @property
    def soak(self) -> Soak | None:
        """Of one long process."""
        return soak_of(self.runs[0])

    @property
    def energy(self) -> Energy | None:
        """Of one inference; `None` where the board has no sensor."""
        return energy_of(self.runs)

    @property
    def placement(self) -> Placement | None:
        """Which executor computes which operators; `None` where the runtime does not tell."""
        return self.runs[0].run.placement

    @property
    def effective_cores(self) -> float:
        """CPU time over time of the timed loops: how many cores really worked."""
        wall_ns = sum(run.run.wall_ns for run in self.runs)
        return sum(run.run.cpu_ns for run in self.runs) / max(1, wall_ns)


def row_of(facts: Facts, threads: int, runs: tuple[BoardRun, ...]) -> Row:
    """Compute the figures and the verdict of the processes of one setting."""
    figure = latency([run.samples_ns for run in runs])
    whole = latency([run.end_to_end_ns for run in runs])
    return Row(threads, figure, whole, judge(facts, runs, figure), runs)
