"""Time and memory of a rollout by the number of devices: do they stay flat for each of them?

    python -m benchmarks.fleet_growth [--quick]

Writes benchmarks/results/fleet_growth.md. Each row is a process of its own. Simulated devices take
part in a whole rollout: planner, gates, decisions, loop and journal are the real ones, and every
commit of the journal waits for the disk. Fake boards run the real session and store of the agent in
memory; they are planned for and asked for their state through the code that serves real boards.
`--quick` measures the small fleets alone, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.fleet_growth_rows import measure_fake_boards, measure_simulation
from benchmarks.machine import machine

RESULT = Path(__file__).parent / "results" / "fleet_growth.md"

GOOD, BAD, FAKE = "good", "bad", "fake"
ROWS = (
    (GOOD, 1_000),
    (GOOD, 10_000),
    (GOOD, 100_000),
    (BAD, 100_000),
    (FAKE, 1_000),
    (FAKE, 10_000),
)
QUICK = ((GOOD, 1_000), (BAD, 1_000), (FAKE, 100))

_MEASURES: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    GOOD: lambda folder, count: measure_simulation(folder, count, is_bad=False),
    BAD: lambda folder, count: measure_simulation(folder, count, is_bad=True),
    FAKE: measure_fake_boards,
}


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="small fleets alone; writes nothing")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        kind, count = options.one
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(_MEASURES[kind](Path(folder), int(count))))
        return
    found: dict[str, dict[int, dict[str, Any]]] = {GOOD: {}, BAD: {}, FAKE: {}}
    for kind, count in QUICK if options.quick else ROWS:
        start = time.monotonic()
        run = subprocess.run(
            [sys.executable, "-m", "benchmarks.fleet_growth", "--one", kind, str(count)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        found[kind][count] = json.loads(run.stdout)
        print(f"{kind} {count}: {time.monotonic() - start:.0f} s: {run.stdout}", flush=True)
    text = "\n".join([*_head(), *_growth(found[GOOD]), *_harm(found[BAD]), *_fake(found[FAKE])])
    if options.quick:
        print(text)
    else:
        RESULT.write_text(text + "\n", encoding="utf-8")


def _head() -> list[str]:
    return [
        "# Growth of a rollout with the fleet",
        "",
        f"`python -m benchmarks.fleet_growth`. {machine()} Load average {os.getloadavg()[1]:.1f}.",
        "",
        "Times are CPU time of the controller for each device, in microseconds, unless a column",
        "says otherwise. Memory is the peak of the process above what it had before, for each",
        "device. Each row is a process of its own.",
        "",
    ]


def _growth(rows: dict[int, dict[str, Any]]) -> list[str]:
    lines = [
        "## Simulated devices, a release that works",
        "",
        "A whole rollout in three waves: stage, probe with gates, activate, health, confirm.",
        "5 % of the devices lose answers, 1 % never answer; 256 at a time. The journal has all",
        "intents and results; wall includes the wait for the disk (`synchronous = FULL`).",
        "",
        "| devices | plan | begin | rollout | rollout, wall | status | check of the chain "
        "| memory, bytes | journal on disk, bytes | end |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for count, row in rows.items():
        figures = [row[name] for name in ("plan", "begin", "rollout", "wall", "status", "verify")]
        cells = [f"{1e6 * seconds / count:.0f}" for seconds in figures]
        cells += [f"{row['memory'] / count:.0f}", f"{row['journal'] / count:.0f}", row["end"]]
        lines.append(f"| {count:,} | {' | '.join(cells)} |")
    return [*lines, ""]


def _harm(rows: dict[int, dict[str, Any]]) -> list[str]:
    lines = [
        "## Simulated devices, a release that harms",
        "",
        "10 % of the devices brick, die without an answer, crash, hang or lie once the release is",
        "active; gates refuse 3 %, and 5 % flap. The failure budget is 12 % of a wave, so that the",
        "rollout has to stop; the rule of one cause is off. Harmed: the release was active on a",
        "device of the first kind, or on one that went back. No wave may exceed its budget.",
        "",
        "| devices | wave | devices of the wave | budget | failed | harmed | most on trial |",
        "|---|---|---|---|---|---|---|",
    ]
    for count, row in rows.items():
        for wave in row["waves"]:
            cells = [
                f"{wave[name]:,}" for name in ("size", "budget", "failed", "harmed", "at_risk")
            ]
            lines.append(f"| {count:,} | {wave['number']} | {' | '.join(cells)} |")
        lines += ["", f"The rollout of {count:,} ended: {row['end']}."]
    return [*lines, ""]


def _fake(rows: dict[int, dict[str, Any]]) -> list[str]:
    lines = [
        "## Fake boards: the agent's session and store in memory",
        "",
        "Plan: connect, facts, releases, variant, missing files of every board, then the waves.",
        "Status: ask every board, and join its answer with the journal. Boards and controller are",
        "one process here, so that the times and the memory are those of both; run with TMPDIR in",
        "memory, since each board is a folder.",
        "",
        "| devices | inventory | plan | begin | status | memory, bytes |",
        "|---|---|---|---|---|---|",
    ]
    for count, row in rows.items():
        figures = [row[name] for name in ("inventory", "plan", "begin", "status")]
        cells = [f"{1e6 * seconds / count:.0f}" for seconds in figures]
        lines.append(f"| {count:,} | {' | '.join(cells)} | {row['memory'] / count:.0f} |")
    return [*lines, ""]


if __name__ == "__main__":
    main()
