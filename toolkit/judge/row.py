"""One setting of a model on a board: the figures of its processes and their verdict. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from device_agent.contract.facts import Facts
from device_agent.contract.placement import Placement
from targets.board_run import BoardRun
from toolkit.judge.energy import Energy, energy_of
from toolkit.judge.pace import Pace, pace_of
from toolkit.judge.soak import Soak, soak_of
from toolkit.judge.statistics import Latency, latency
from toolkit.judge.throughput import Throughput, rounds_of, throughput_of
from toolkit.judge.verdict import Verdict, judge_runs


@dataclass(frozen=True)
class Row:
    """One setting of a model, measured in one process or several."""

    threads: int
    latency: Latency
    """Latency of `invoke` alone."""
    end_to_end: Latency
    """Latency of the whole inference: quantize, set, invoke, get, dequantize."""
    verdict: Verdict
    runs: tuple[BoardRun, ...]
    streams: int = 1
    """Number of processes that ran at the same time."""
    interrupted: bool = False
    """Whether a person ended the measurement before all processes had run."""

    @property
    def throughput(self) -> Throughput:
        """Inferences a second of the processes that ran at the same time."""
        return throughput_of(self.runs, self.streams)

    @property
    def pace(self) -> Pace | None:
        """Figures of requests at a fixed rate; `None` for runs back to back."""
        return pace_of(self.runs)

    @property
    def soak(self) -> Soak | None:
        """Trends of one long process; `None` where it was no soak."""
        return soak_of(self.runs[0])

    @property
    def energy(self) -> Energy | None:
        """Energy of one inference; `None` where the board has no sensor."""
        return energy_of(self.runs)

    @property
    def placement(self) -> Placement | None:
        """Executor of each operator; `None` where the runtime does not report it."""
        return self.runs[0].run.placement

    @property
    def effective_cores(self) -> float:
        """CPU time over time of the timed loops: how many cores really worked."""
        wall_ns = sum(run.run.wall_ns for run in self.runs)
        return sum(run.run.cpu_ns for run in self.runs) / max(1, wall_ns)


def latency_of(runs: Sequence[BoardRun], streams: int) -> Latency:
    """Compute the latency of `invoke` alone over the processes of one setting.

    Args:
        runs: Run of each fresh process; at least one.
        streams: Number of processes that ran at the same time; their samples are one observation.
    """
    rounds = rounds_of(runs, streams)
    return latency([np.concatenate([run.samples_ns for run in each]) for each in rounds])


def row_of(facts: Facts, threads: int, runs: tuple[BoardRun, ...], streams: int = 1) -> Row:
    """Compute the figures and the verdict of the processes of one setting.

    Args:
        facts: Facts of the board, as the agent reports them.
        threads: Number of threads of the runtime.
        runs: Run of each fresh process; at least one.
        streams: Number of processes that ran at the same time; their samples are one observation.
    """
    figure = latency_of(runs, streams)
    rounds = rounds_of(runs, streams)
    whole = latency([np.concatenate([run.end_to_end_ns for run in each]) for each in rounds])
    return Row(threads, figure, whole, judge_runs(facts, runs, figure), runs, streams)
