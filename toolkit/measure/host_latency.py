"""Latency of .tflite files, measured by the agent: what `converters` calls `latency_us`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from converters.formats import read_model_file
from converters.measure import LatencyUs
from targets.device import OnProgress, no_progress
from targets.inventory import LOCAL, Target
from toolkit.judge.statistics import PROCESSES, latency
from toolkit.measure.compare import interleave
from toolkit.measure.ready import open_board, ready
from toolkit.measure.rows import one_process

#: One process of one file: short, as many files are asked about, and a search asks often.
PROCESS_S = 0.2

#: This computer, which every host has.
THIS_COMPUTER = Target("this computer", LOCAL)


def latency_on(target: Target = THIS_COMPUTER, on_progress: OnProgress = no_progress) -> LatencyUs:
    """Return what measures files on a target: one thread, fresh processes, all files in turn.

    The target is connected anew for each measurement, so that a conversion of hours does not hold
    a board that others wait for.

    Args:
        target: Where.
        on_progress: Called as it goes on.

    Returns:
        A callable from files to the medians of their process medians, microseconds. It raises
        ConversionError, TargetError or AgentError as `toolkit.measure.bench.bench` does.
    """

    def latency_us(paths: Sequence[Path]) -> list[float]:
        models = [read_model_file(path) for path in paths]
        with open_board(target, on_progress) as device:
            board = ready(device, models, None, on_progress)
            runs = interleave(
                device, board.staged, one_process(1, PROCESS_S), PROCESSES, on_progress
            )
        return [latency([run.samples_ns for run in of_file]).median_us for of_file in runs]

    return latency_us
