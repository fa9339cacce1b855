"""`kedge results`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli import output
from toolkit.cli.options import as_json, file_path

if TYPE_CHECKING:
    from toolkit.results import ResultStore


@click.group("results")
def command() -> None:
    """List, show and export what was measured in this project (kept in .kedge/results.db)."""


@command.command("list")
@click.option("--on", "name", help="Only of this target.")
@click.option("--last", type=click.IntRange(1, 100_000), default=20, show_default=True)
@as_json
def list_results(name: str | None, last: int, as_json: bool) -> None:
    """List the newest results first.

    \b
    kedge results list --on pi
    """
    with _store() as store:
        lines = store.lines(name, last)
    if as_json:
        output.print_json({"schema": 1, "results": [vars(line) for line in lines]})
        return
    rows = [
        [
            str(line.id),
            line.taken_at,
            line.target,
            f"{Path(line.model).name} {line.model_sha256[:8]}",
            str(line.threads),
            output.duration(line.median_us),
            line.verdict,
        ]
        for line in lines
    ]
    columns = ["result", "taken at (UTC)", "target", "model", "threads", "median", "verdict"]
    output.table("", columns, rows)


@command.command("show")
@click.argument("number", type=int)
def show(number: int) -> None:
    """Show one result, its figures computed again from the samples.

    \b
    kedge results show 12
    """
    with _store() as store:
        found = store.load(number)
    figure = found.latency
    low, high = figure.interval_us
    line, facts = found.line, found.document["facts"]
    rows = [
        ["model", f"{line.model} (sha256 {line.model_sha256})"],
        ["target", f"{line.target}, {found.document['place']}"],
        ["board", f"{facts['model']}, {facts['os']}"],
        ["runtime", line.runtime],
        ["verdict", "; ".join([line.verdict, *found.document["reasons"]])],
        ["median", output.duration(figure.median_us)],
        ["interval", f"{output.duration(low)} to {output.duration(high)}"],
        ["samples", f"{figure.samples} of {len(figure.process_medians_us)} processes"],
        ["outputs", f"{found.document['parity']['verdict']}: {found.document['parity']['reason']}"],
    ]
    output.table(f"result {line.id}, {line.taken_at}", ["", "found"], rows)


@command.command("export")
@click.argument("number", type=int)
@click.argument("file", type=file_path())
def export(number: int, file: Path) -> None:
    """Write one result, all its samples included, to a JSON file.

    \b
    kedge results export 12 result12.json
    """
    import json

    from toolkit.results import ResultStoreError, as_document

    with _store() as store:
        text = json.dumps(as_document(store.load(number)), indent=1)
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        message = f"cannot write {file}: {error.strerror or error}"
        raise ResultStoreError(message) from error
    output.say(f"wrote result {number} to {file}")


@contextmanager
def _store() -> Iterator[ResultStore]:
    from toolkit.project import open_inventory
    from toolkit.results import open_results

    with open_results(open_inventory().path.parent) as store:
        yield store
