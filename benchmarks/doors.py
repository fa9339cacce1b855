"""Models of PyTorch, ONNX and .tflite: how they come in, what becomes of them, and what runs them.

    python -m benchmarks.doors                # hours on two cores; goes on where it was interrupted
    python -m benchmarks.doors --minutes 30   # begins no row after these; the next run will
    python -m benchmarks.doors --times        # minutes; measures anew what has a limit of time

Writes benchmarks/results/doors.md. A row that is done is kept in .cache/doors, and not done again.
Times (latencies, and the import of ResNet-18) need a computer that does nothing else; the table
says how busy it was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.doors_files import FILES, fetch_files
from benchmarks.doors_others import (
    ENVIRONMENTS,
    by_litert_torch,
    by_onnx2tf,
    make_environment,
)
from benchmarks.doors_resnet8 import WORK
from benchmarks.doors_runtimes import Pair, measure_pair, run_pair
from benchmarks.doors_table import (
    TIMED_IMPORT,
    import_lines,
    other_lines,
    runtime_lines,
    trained_lines,
)
from benchmarks.doors_trained import (
    Trained,
    finished_conversions,
    measure_latency,
    measure_trained,
)
from benchmarks.machine import machine

RESULT = Path(__file__).parent / "results" / "doors.md"
_LIMIT_S = 1800
#: Number of runs of an import that has limits: its memory differs from run to run.
_TIMED_RUNS = 5

Row = dict[str, Any]


def main() -> None:
    """Do what is missing, and write the table of all that is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=inf, help="begin no row after these")
    parser.add_argument("--table", action="store_true", help="write the table of what is done")
    parser.add_argument("--times", action="store_true", help="measure times anew, nothing else")
    options = parser.parse_args()
    has_rows = options.table or options.times
    end_s = 0.0 if has_rows else time.monotonic() + 60 * options.minutes
    files = WORK / "files"
    if options.times:
        measure_times(files)
    if not has_rows:
        fetch_files(files)
    imports = {name: import_row(files / name, end_s) for name in FILES}
    others = {name: other_rows(files / name, end_s) for name in FILES}
    trained: Trained | None = measure_trained(end_s)
    pair: Pair | None = run_pair(end_s)
    lines = ["# Models of PyTorch, ONNX and .tflite", "", machine(), ""]
    lines += import_lines(imports)
    lines += other_lines(imports, others)
    lines += trained_lines(trained)
    lines += runtime_lines(pair)
    text = "\n".join(lines) + "\n"
    RESULT.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def measure_times(files: Path) -> None:
    """Measure anew what has a limit of time: the import of ResNet-18, and all latencies."""
    for name in FILES:
        if name.startswith(TIMED_IMPORT):
            (WORK / "rows" / f"import-{name}.json").unlink(missing_ok=True)
            import_row(files / name, inf)
    measure_latency(finished_conversions())
    measure_pair()


def import_row(file: Path, end_s: float) -> Row:
    """How a file comes in, and which techniques take it."""
    runs = _TIMED_RUNS if file.name.startswith(TIMED_IMPORT) else 1
    row = stored(f"import-{file.name}", end_s, lambda: _import(file, runs))
    if "inputs" in row:
        path = WORK / "rows" / f"import-{file.name}.json"
        techniques = stored(
            f"techniques-{file.name}", end_s, lambda: _program("doors_techniques", file, path)
        )
        row = {**row, "techniques": techniques}
    return row


def _import(file: Path, runs: int) -> Row:
    """The run with the median of the memory, and the figures of all runs."""
    rows = [_program("doors_import", file) for _ in range(runs)]
    if failed := [row for row in rows if "failure" in row]:
        return failed[0]
    return median_run(rows)


def median_run(rows: list[Row]) -> Row:
    """The run with the median of the memory; `seconds` and `peaks` are those of all runs."""
    middle = sorted(rows, key=lambda row: int(row["peak_bytes"]))[len(rows) // 2]
    peaks = sorted(row["peak_bytes"] for row in rows)
    return {**middle, "seconds": median(row["seconds"] for row in rows), "peaks": peaks}


def other_rows(file: Path, end_s: float) -> dict[str, Row]:
    """What other converters make of a file."""
    work = WORK / "others"
    work.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Row] = {}
    for name in ENVIRONMENTS:
        environment = WORK / name
        convert = by_litert_torch if name == "litert-torch" else by_onnx2tf

        def make(
            name: str = name,
            environment: Path = environment,
            convert: Callable[[Path, Path, Path], Row] = convert,
        ) -> Row:
            failure = make_environment(name, environment)
            return {"failure": failure} if failure else convert(environment, file, work)

        rows[name] = stored(f"{name}-{file.name}", end_s, make)
    return rows


def stored(name: str, end_s: float, make: Callable[[], Row]) -> Row:
    """A row that is there, or is begun before `end_s` of the monotonic clock; else empty."""
    path = WORK / "rows" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        row: Row = json.loads(path.read_text(encoding="utf-8"))
        return row
    if time.monotonic() > end_s:
        return {}
    sys.stdout.write(f"== {name}\n")
    sys.stdout.flush()
    row = {**make(), "date": date.today().isoformat()}
    path.write_text(json.dumps(row), encoding="utf-8")
    return row


def _program(name: str, *arguments: Path) -> Row:
    command = [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return {"failure": f"not done after {_LIMIT_S} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return {"failure": (done.stderr.strip().splitlines() or ["no answer"])[-1][:300]}
    row: Row = json.loads(lines[-1])
    return row


if __name__ == "__main__":
    main()
