"""Whether the agent's timing loop reads what a bare loop reads: one process, one interpreter.

    python -m benchmarks.timing_loop MODEL PAIRS   # the ratio of each pair of blocks, as JSON

Fresh processes differ by more than the loops do, so that the comparison of processes seldom
settles a few percent. Here both loops run the same interpreter, in blocks of 50 ms in turn; what
is left between them is the loop.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.bare_loop import BareLoop
from benchmarks.ratio import told
from device_agent.timing.benchmark import time_calls

PAIRS = 401
FAST_PAIRS = 21
BLOCK_SECONDS = 0.05


def loop_table(models: tuple[Path, ...], pairs: int, tolerance: float) -> list[str]:
    """Measure and write the table.

    Args:
        models: The .tflite files.
        pairs: Of blocks for each.
        tolerance: How far the ratio may be from 1.
    """
    lines = [
        "## The timing loop alone",
        "",
        f"The agent's loop and a bare set_tensor, invoke, get_tensor in one process, {pairs}",
        f"blocks of {BLOCK_SECONDS * 1e3:.0f} ms each, in turn; the median of the ratios of pairs.",
        "",
        "| model | agent's loop / bare loop |",
        "|---|---|",
    ]
    for path in models:
        ratios = _ratios(path, pairs)
        name = path.parent.name if path.stem == "model" else path.stem
        lines.append(f"| {name} | {told(ratios, tolerance)} |")
    return [*lines, ""]


def _ratios(path: Path, pairs: int) -> list[float]:
    """In a process of its own, as the agent's job is."""
    command = [sys.executable, "-m", "benchmarks.timing_loop", str(path), str(pairs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    ratios: list[float] = json.loads(done.stdout)
    return ratios


def _measure(path: str, pairs: int) -> list[float]:
    loop = BareLoop(path)

    def ours() -> float:
        samples_ns = time_calls(loop.interpreter.invoke, 0.0, BLOCK_SECONDS).samples_ns
        return median(samples_ns) / 1e3

    def bare() -> float:
        return loop.median_us(BLOCK_SECONDS)

    gc.disable()
    bare(), ours()  # warm up; the first also feeds
    ratios = []
    for pair in range(pairs):
        if pair % 2:
            second, first = bare(), ours()
        else:
            first, second = ours(), bare()
        ratios.append(first / second)
    return ratios


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], int(sys.argv[2]))))
