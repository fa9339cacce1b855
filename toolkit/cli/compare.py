"""`kedge compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli import output
from toolkit.cli.options import Duration, ShareRange, as_json, wheelhouse
from toolkit.cli.options import target as target_option
from toolkit.cli.report_files import report_files, write_reports
from toolkit.cli.results import keep
from toolkit.cli.tracking import send_to_tracker, track, tracked_records
from toolkit.report.comparison import MOST_PROCESSES, describe_comparison, plain_latency_comparison
from toolkit.report.exit_code import exit_code_of_comparison

if TYPE_CHECKING:
    from targets.inventory import Inventory
    from toolkit.judge.earlier import EarlierResult
    from toolkit.measure.compare import CompareSettings, LatencyComparison


@click.command("compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@target_option
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
    type=click.IntRange(9, MOST_PROCESSES),
    default=9,
    show_default=True,
    help="Number of fresh processes for each model.",
)
@click.option(
    "--max-regression",
    type=ShareRange(0, 10),
    default=0.02,
    show_default=True,
    help="Share by which B may be slower, such as 0.05 or 5%.",
)
@wheelhouse
@track
@report_files
@as_json
def command(
    first: str,
    second: str,
    name: str | None,
    threads: int | None,
    duration_s: float,
    processes: int,
    max_regression: float,
    wheelhouse: Path | None,
    tracker: str | None,
    reports: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Compare the latency of B with that of A, in turn on one board.

    Each is a .tflite or .onnx, or the number of an earlier result (`kedge results list`): of two
    results nothing is measured, and of a result and a file only the file. The exit code is 8 if B
    is slower by more than --max-regression, and 9 if the figures cannot decide that or a side is
    not VALID.

    \b
    kedge compare old.tflite new.tflite --on pi
    kedge compare 12 new.tflite --on pi --max-regression 5% --junit compare.xml
    kedge compare 12 15
    """
    from toolkit.measure.compare import CompareSettings
    from toolkit.project import open_inventory
    from toolkit.report.cases import case_of_comparison
    from toolkit.report.page.build import page_of_results
    from toolkit.report.record import records_of_comparison
    from toolkit.results.store import open_results

    settings = CompareSettings(threads, duration_s, processes, max_regression, 0, wheelhouse)
    inventory = open_inventory()
    if _is_number(second) and not _is_number(first):
        raise click.UsageError("write the earlier result first: kedge compare RESULT FILE")
    numbers = [int(side) for side in (first, second) if _is_number(side)]
    with open_results(inventory.path.parent) as store:
        earlier = [store.load(number).figures for number in numbers]
    comparison = _compare(first, second, earlier, inventory, name, settings)
    try:
        if as_json:
            output.print_json({"schema": 1, **plain_latency_comparison(comparison)})
        else:
            output.print_blocks(describe_comparison(comparison))
    finally:
        records = records_of_comparison(comparison)
        kept = keep(inventory.path.parent, records)
    send_to_tracker(tracker, lambda: tracked_records(records))
    write_reports(
        reports,
        "kedge compare",
        lambda: [case_of_comparison(comparison)],
        lambda: page_of_results(inventory.path.parent, [*numbers, *kept]),
    )
    return exit_code_of_comparison(comparison)


def _compare(
    first: str,
    second: str,
    earlier: Sequence[EarlierResult],
    inventory: Inventory,
    name: str | None,
    settings: CompareSettings,
) -> LatencyComparison:
    """Measure what is no earlier result, and compare."""
    from toolkit.measure.compare import compare_models, compare_results, compare_with_result

    if len(earlier) == 2:
        return compare_results(earlier[0], earlier[1], settings.max_regression)
    target = inventory.only() if name is None else inventory.get(name)
    with output.progress() as show:
        if earlier:
            return compare_with_result(earlier[0], Path(second), target, settings, show)
        return compare_models(Path(first), Path(second), target, settings, show)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
