"""How long whole commands take before and beside their work, on the digits CNN.

    python -m benchmarks.startup [--before CHECKOUT] [--quick]

Writes benchmarks/results/startup.md. Every figure is the median wall time of whole processes.
`--before` measures another checkout of kedge as well, in turn, for the column "before"; without it
the column is that of the table before. `--quick` measures everything once.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.machine import machine
from benchmarks.startup_rows import Checkout, agent_reply, rows_of

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
    options = parser.parse_args()
    earlier = _earlier_column() if options.before is None else {}
    with tempfile.TemporaryDirectory() as folder:
        checkouts = {"after": Checkout(REPOSITORY, Path(folder) / "after")}
        if options.before is not None:
            checkouts["before"] = Checkout(options.before.absolute(), Path(folder) / "before")
        runs = 1 if options.quick else RUNS
        columns = {name: rows_of(checkout) for name, checkout in checkouts.items()}
        figures: dict[str, dict[str, float]] = {name: {} for name in columns}
        for number, row in enumerate(columns["after"]):
            for name, rows in columns.items():
                figures[name][row.name] = _median(rows[number].seconds, runs)
                print(f"{name}: {row.name}: {figures[name][row.name]:.2f}", flush=True)
        reply = _median(lambda: agent_reply(Path(folder)), runs)
    before = figures.get("before", earlier)
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
    ]
    for row in columns["after"]:
        after = figures["after"][row.name]
        met = "" if row.limit is None else "met" if after <= row.limit else "NOT met"
        seen = before.get(row.name)
        lines.append(
            f"| {row.name} | {'' if seen is None else f'{seen:.2f}'} | {after:.2f} | "
            f"{'' if row.limit is None else f'{row.limit:g}'} | {met} |"
        )
    met = "met" if reply <= 0.15 else "NOT met"
    lines.append(f"| agent to its first reply |  | {reply:.2f} | 0.15 | {met} |")
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(RESULT.read_text(encoding="utf-8"))


def _median(seconds: Callable[[], float], runs: int) -> float:
    values = [seconds()]
    while len(values) < runs and values[0] < LONG_S:
        values.append(seconds())
    return median(values)


def _earlier_column() -> dict[str, float]:
    """The column "before" of the table that is there."""
    if not RESULT.exists():
        return {}
    cells = [line.split("|") for line in RESULT.read_text(encoding="utf-8").splitlines()]
    column = {}
    for row in cells:
        if len(row) == 7 and row[2].strip().replace(".", "", 1).isdecimal():
            column[row[1].strip()] = float(row[2])
    return column


if __name__ == "__main__":
    main()
