"""Measures one setting of a model on a board in fresh processes."""

from __future__ import annotations

from dataclasses import replace

from targets.board_run import BoardRun
from targets.device import Device
from targets.jobs import ProcessSettings
from targets.progress import OnProgress, no_progress
from targets.staged_file import StagedFile
from toolkit.judge.row import Row, latency_of, row_of
from toolkit.judge.verdict import is_settled

#: Longest time of the untimed runs at the start of each process; never longer than the timed ones.
LONGEST_WARMUP_S = 0.5


def one_process(threads: int, duration_s: float, seed: int = 0) -> ProcessSettings:
    """Return the settings of one fresh process that measures for `duration_s`."""
    return ProcessSettings(threads, min(LONGEST_WARMUP_S, duration_s), duration_s, seed)


def measure_row(
    device: Device,
    model: StagedFile,
    one: ProcessSettings,
    processes: int,
    rounds: int,
    on_progress: OnProgress,
    streams: int = 1,
) -> Row:
    """Measure fresh processes, and as many again while their interval is too wide.

    More processes narrow the interval: of twelve it leaves out the two wildest on each side, so
    that one disturbed process does not spoil a board that is quiet otherwise. An emulated board is
    never VALID, and is measured once.

    Args:
        device: Board, with its runtime prepared.
        model: Model on the board.
        one: Settings of each process.
        processes: Number of processes of one round.
        rounds: Largest number of rounds.
        on_progress: Called as it goes on.
        streams: Number of processes that run at the same time.

    Returns:
        Figures of all processes, or of those that had ended when a person interrupted.
    """
    what = f"measure with {one.threads} thread{'s' if one.threads > 1 else ''}"
    each = "process"
    if streams > 1:
        what, each = f"measure {streams} processes at the same time", "round"
    # A soak reports its seconds; the phases of a short process pass too quickly to be shown.
    within = on_progress if one.soak else no_progress
    runs: list[BoardRun] = []
    interrupted = False

    try:
        for again in range(rounds):
            if again and (device.facts.emulated or is_settled(latency_of(runs, streams))):
                break
            stage = f"{what} again, as the processes differ" if again else what
            for number in range(processes):
                on_progress(f"{stage} ({each} {number + 1} of {processes})", number, processes)
                if streams > 1:
                    runs += device.jobs.benchmark_streams(model, one, streams)
                else:
                    runs.append(device.jobs.benchmark(model, one, within))
            on_progress(stage, processes, processes)
    except KeyboardInterrupt:
        if not runs:
            raise
        interrupted = True
    row = row_of(device.facts, one.threads, tuple(runs), streams)
    return replace(row, interrupted=interrupted)
