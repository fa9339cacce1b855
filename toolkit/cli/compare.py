"""`kedge compare`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import output
from toolkit.cli.bench import keep
from toolkit.report.measurement import EXIT_NOT_TRUSTED, EXIT_REFUSED
from toolkit.cli.options import Duration, Share, as_json, file_path

if TYPE_CHECKING:
    from toolkit.measure.compare import Comparison


_MOST_PROCESSES = 200


@click.command("compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B", type=file_path())
@click.option("--on", "name", required=True, help="The target.")
@click.option(
    "--threads",
    type=click.IntRange(1, 256),
    help="Threads of the runtime. The default is that of an earlier A, otherwise the number in "
    "kedge.toml, otherwise 1.",
)
@click.option(
    "--duration",
    "duration_s",
    type=Duration(),
    default="9s",
    show_default=True,
    help="Time to measure both together.",
)
@click.option(
    "--processes",
    type=click.IntRange(9, _MOST_PROCESSES),
    default=9,
    show_default=True,
    help="Number of fresh processes for each model.",
)
@click.option(
    "--max-regression",
    type=Share(0, 10),
    default=0.02,
    show_default=True,
    help="Share by which B may be slower, such as 0.05 or 5%.",
)
@click.option("--wheelhouse", type=file_path(), envvar="KEDGE_WHEELHOUSE", hidden=True)
@as_json
def command(
    first: str,
    second: Path,
    name: str,
    threads: int | None,
    duration_s: float,
    processes: int,
    max_regression: float,
    wheelhouse: Path | None,
    as_json: bool,
) -> int:
    """Compare the latency of B with that of A, in turn on one board.

    A is a .tflite, or the number of an earlier result (`kedge results list`). The exit code
    is 8 if B is slower by more than --max-regression, and 9 if the figures cannot decide that or a
    side is not VALID.

    \b
    kedge compare old.tflite new.tflite --on pi
    kedge compare 12 new.tflite --on pi --max-regression 5%
    """
    from toolkit.measure.compare import CompareSettings, compare, compare_with_result
    from toolkit.project import open_inventory
    from toolkit.results.store import open_results

    settings = CompareSettings(threads, duration_s, processes, max_regression, 0, wheelhouse)
    inventory = open_inventory()
    target = inventory.get(name)
    with output.progress() as show:
        if first.isascii() and first.isdigit():
            with open_results(inventory.path.parent) as store:
                earlier = store.load(int(first))
            found = compare_with_result(earlier, second, target, settings, show)
        else:
            found = compare(Path(first), second, target, settings, show)
    try:
        if as_json:
            output.print_json({"schema": 1, **as_plain(found)})
        else:
            show_comparison(found)
    finally:
        measured = [arm.measured for arm in (found.first, found.second) if arm.measured]
        keep(inventory.path.parent, measured)
    return exit_code(found)


def exit_code(found: Comparison) -> int:
    """Return what a comparison means for a script."""
    if not found.trusted:
        return EXIT_NOT_TRUSTED
    codes = {"REGRESSED": EXIT_REFUSED, "INCONCLUSIVE": EXIT_NOT_TRUSTED}
    return codes.get(found.ratio.verdict, 0)


def as_plain(found: Comparison) -> dict[str, Any]:
    """Return the comparison for a program."""
    return {
        "target": found.target,
        "place": found.place,
        "interleaved": found.interleaved,
        "differences": list(found.differences),
        "trusted": found.trusted,
        "ratio": asdict(found.ratio),
        "arms": [
            {
                "name": arm.name,
                "verdict": arm.verdict.kind,
                "reasons": list(arm.verdict.reasons),
                "invoke_median_us": arm.latency.median_us,
                "invoke_ci_us": list(arm.latency.interval_us),
                "processes": len(arm.latency.process_medians_us),
            }
            for arm in (found.first, found.second)
        ],
    }


def _way_out(processes_needed: int) -> str:
    if processes_needed <= _MOST_PROCESSES:
        return f"about --processes {processes_needed} would settle it"
    return "the figures vary too much for any number of processes: what else runs on the board?"


def show_comparison(found: Comparison) -> None:
    """Print a comparison: the verdict first."""
    ratio = found.ratio
    low, high = ratio.interval
    seen = ratio.verdict if found.trusted else f"NOT TRUSTED, {ratio.verdict} by the figures"
    output.say(f"{seen}: B / A = {ratio.value:.3f} (95 % interval {low:.3f} to {high:.3f})")
    if ratio.processes_needed is not None:
        output.say(f"    {_way_out(ratio.processes_needed)}")
    if not found.interleaved:
        output.say("    A was measured earlier: the board may have changed since")
    for difference in found.differences:
        output.warn(difference)
    rows = []
    for letter, arm in (("A", found.first), ("B", found.second)):
        interval = " to ".join(output.duration(value) for value in arm.latency.interval_us)
        median = output.duration(arm.latency.median_us)
        rows.append([f"{letter}: {arm.name}", median, interval, arm.verdict.kind])
        for reason in arm.verdict.reasons:
            output.warn(f"{letter}: {reason}")
    output.table(f"on {found.place}", ["", "median", "of the processes", "verdict"], rows)
