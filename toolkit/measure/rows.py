"""Measures one setting of a model on a board in fresh processes."""

from __future__ import annotations

from targets.device import BoardRun, Device, OnProgress, RunSettings, Staged, no_progress
from toolkit.judge.row import Row, row_of
from toolkit.judge.statistics import latency
from toolkit.judge.verdict import is_settled

#: Untimed runs at the start of each process last so long, or as long as the timed ones if shorter.
LONGEST_WARMUP_S = 0.5


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
