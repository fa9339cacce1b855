"""One setting of a model on a board: measured in fresh processes, its figures and its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from device_agent.contract.placement import Placement
from targets.device import BoardRun, Device, OnProgress, RunSettings, Staged, no_progress
from toolkit.judge.energy import Energy, energy_of
from toolkit.judge.pace import Pace, pace_of
from toolkit.judge.soak import Soak, soak_of
from toolkit.judge.statistics import Latency, latency
from toolkit.judge.verdict import Verdict, is_settled, judge

#: Untimed runs at the start of each process last so long, or as long as the timed ones if shorter.
LONGEST_WARMUP_S = 0.5


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


def one_process(threads: int, duration_s: float, seed: int = 0) -> RunSettings:
    """Return how one fresh process measures for `duration_s`."""
    return RunSettings(threads, min(LONGEST_WARMUP_S, duration_s), duration_s, seed)


def measure_row(
    device: Device,
    staged: Staged,
    one: RunSettings,
    processes: int,
    rounds: int,
    on_progress: OnProgress,
) -> Row:
    """Measure fresh processes, and as many again while their interval is too wide.

    More processes narrow the interval: of twelve it leaves out the two wildest on each side, so
    that one disturbed process does not spoil a board that is quiet otherwise.

    Args:
        device: With its runtime prepared.
        staged: The model.
        one: How each process runs.
        processes: Of one round.
        rounds: At most so many.
        on_progress: Called as it goes on.
    """
    what = f"measure with {one.threads} thread{'s' if one.threads > 1 else ''}"
    # A soak tells its seconds; the phases of a short process pass too quickly to be shown.
    within = on_progress if one.soak else no_progress
    runs: list[BoardRun] = []
    for again in range(rounds):
        if again and is_settled(latency([run.samples_ns for run in runs])):
            break
        told = f"{what} again, as the processes differ" if again else what
        for number in range(processes):
            on_progress(told, number, processes)
            runs.append(device.benchmark(staged, one, within))
        on_progress(told, processes, processes)
    return row_of(device.facts, one.threads, tuple(runs))


def row_of(facts: Mapping[str, Any], threads: int, runs: tuple[BoardRun, ...]) -> Row:
    """Compute the figures and the verdict of the processes of one setting."""
    figure = latency([run.samples_ns for run in runs])
    whole = latency([run.end_to_end_ns for run in runs])
    return Row(threads, figure, whole, judge(facts, runs, figure), runs)
