"""`kedge results`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli import output
from toolkit.cli.options import as_json, file_path
from toolkit.report import words

if TYPE_CHECKING:
    from toolkit.results.record import ResultRecord
    from toolkit.results.store import ResultStore


@click.group("results", invoke_without_command=True)
@as_json
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List, show and export the measurements of this project (stored in .kedge/results.db).

    Without a command, it lists them.

    \b
    kedge results
    kedge results --json
    """
    if context.invoked_subcommand is None:
        context.invoke(list_results, as_json=as_json)
    elif as_json:
        raise click.UsageError(f"write --json behind {context.invoked_subcommand}")


@command.command("list")
@click.option("--on", "name", help="Show only results of this target.")
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
    if not lines:
        output.note(f"no results{f' of {name}' if name else ''} yet: kedge bench FILE --on NAME")
        return
    rows = [
        [
            str(line.id),
            line.taken_at,
            line.target,
            f"{Path(line.model).name} {line.model_sha256[:8]}",
            str(line.threads),
            line.mode or "–",
            words.duration(line.median_us),
            line.verdict,
        ]
        for line in lines
    ]
    columns = ["result", "taken at (UTC)", "target", "model", "threads", "mode", "median"]
    output.table("", [*columns, "verdict"], rows)


@command.command("show")
@click.argument("number", type=int)
@as_json
def show(number: int, as_json: bool) -> None:
    """Show one result, with figures and verdict computed again from its samples.

    \b
    kedge results show 12
    """
    from toolkit.report.stored_result import describe_result, plain_result

    with _store() as store:
        result = store.load(number)
    if as_json:
        output.print_json({"schema": 1, **plain_result(result)})
    else:
        output.print_blocks(describe_result(result))


@command.command("export")
@click.argument("number", type=int)
@click.argument("file", type=file_path())
def export(number: int, file: Path) -> None:
    """Write one result with all its samples to a JSON file.

    \b
    kedge results export 12 result12.json
    """
    from toolkit.report.stored_result import plain_samples
    from toolkit.results.export import write_export

    with _store() as store:
        write_export(file, plain_samples(store.load(number)))
    output.say(f"wrote result {number} to {file}")


def keep(project: Path, records: Sequence[ResultRecord]) -> None:
    """Keep results in the project's store, and say their numbers.

    Raises:
        ResultStoreError: The store cannot be written; nothing was kept.
    """
    from toolkit.results.store import open_results

    with open_results(project) as store:
        numbers = store.save(records)
    if numbers:
        output.note("kept as result " + ", ".join(map(str, numbers)))


@contextmanager
def _store() -> Iterator[ResultStore]:
    from toolkit.project import open_inventory
    from toolkit.results.store import open_results

    with open_results(open_inventory().path.parent) as store:
        yield store
