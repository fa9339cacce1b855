"""How long whole commands take before and beside their work, on the digits CNN.

    python -m benchmarks.startup [--before CHECKOUT] [--quick] [--only WORD]

Writes benchmarks/results/startup.md. Every figure is the median wall time of whole processes.
`--before` measures another checkout of kedge as well, in turn, for the column "before"; without it
the column is that of the table before. `--quick` measures everything once. `--only` measures the
rows whose name has one of the words, and leaves the others as they are in the table.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.machine import machine
from benchmarks.startup_rows import Checkout, Row, rows_of

REPOSITORY = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "startup.md"
#: A row that takes longer than this, in seconds, is measured once.
LONG_S = 20.0
RUNS = 5


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--before", type=Path, help="checkout of an older kedge")
    parser.add_argument("--quick", action="store_true", help="measure everything once")
    parser.add_argument("--only", nargs="+", help="words of the rows to measure", metavar="WORD")
    options = parser.parse_args()
    runs = 1 if options.quick else RUNS
    names = {"after": REPOSITORY}
    if options.before is not None:
        names["before"] = options.before.absolute()
    figures = {name: _column(position) for position, name in enumerate(("before", "after"), 2)}
    if options.only is None:
        figures.update({name: {} for name in names})
    with tempfile.TemporaryDirectory() as folder:
        columns = {
            name: rows_of(Checkout(code, Path(folder) / name)) for name, code in names.items()
        }
        for number, row in enumerate(columns["after"]):
            if options.only and not any(word in row.name for word in options.only):
                continue
            for name, rows in columns.items():
                figures[name][row.name] = _median(rows[number].seconds, runs)
                print(f"{name}: {row.name}: {figures[name][row.name]:.2f}", flush=True)
    lines = [
        "# Start-up",
        "",
        machine(),
        f"Load average {os.getloadavg()[1]:.1f}.",
        "",
        f"Medians of {runs} whole commands (of one above {LONG_S:g} s), wall time. The project is "
        "the digits CNN; results of a row are seconds unless its name says otherwise.",
        "",
        "| | before | after | reach | |",
        "|---|---|---|---|---|",
        *(_line(row, figures["before"], figures["after"]) for row in columns["after"]),
    ]
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(RESULT.read_text(encoding="utf-8"))


def _line(row: Row, before: dict[str, float], after: dict[str, float]) -> str:
    """Return the line of a row; a figure that was never measured is left empty."""
    cells = [
        f"{figures[row.name]:.2f}" if row.name in figures else "" for figures in (before, after)
    ]
    limit = "" if row.limit is None else f"{row.limit:g}"
    met = ""
    if row.limit is not None and row.name in after:
        met = "met" if after[row.name] <= row.limit else "NOT met"
    return f"| {row.name} | {cells[0]} | {cells[1]} | {limit} | {met} |"


def _median(seconds: Callable[[], float], runs: int) -> float:
    values = [seconds()]
    while len(values) < runs and values[0] < LONG_S:
        values.append(seconds())
    return median(values)


def _column(position: int) -> dict[str, float]:
    """Return the figures by row of a column of the table that is there."""
    if not RESULT.exists():
        return {}
    cells = [line.split("|") for line in RESULT.read_text(encoding="utf-8").splitlines()]
    return {
        row[1].strip(): float(row[position])
        for row in cells
        if len(row) == 7 and row[position].strip().lstrip("-").replace(".", "", 1).isdecimal()
    }


if __name__ == "__main__":
    main()
