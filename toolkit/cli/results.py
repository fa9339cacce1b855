"""`kedge results`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from toolkit.cli import output
from toolkit.cli.completion import complete_targets
from toolkit.cli.groups import CommandGroup
from toolkit.cli.options import as_json, file_path
from toolkit.report import words

if TYPE_CHECKING:
    from toolkit.results.record import ResultRecord
    from toolkit.results.store import ResultList, ResultStore


_on = click.option(
    "--on", "name", shell_complete=complete_targets, help="Show only results of this target."
)
_last = click.option(
    "--last",
    type=click.IntRange(1, 100_000),
    default=20,
    show_default=True,
    help="Largest number of results.",
)


@click.group("results", cls=CommandGroup, invoke_without_command=True)
@_on
@_last
@as_json
@click.pass_context
def command(context: click.Context, name: str | None, last: int, as_json: bool) -> None:
    """List, show and export the measurements of this project (stored in .kedge/results.db).

    Without a command, it lists them.

    \b
    kedge results
    kedge results --on pi --last 5
    """
    on_line = [
        option
        for option in ("name", "last", "as_json")
        if context.get_parameter_source(option) is ParameterSource.COMMANDLINE
    ]
    if context.invoked_subcommand is None:
        context.invoke(list_results, name=name, last=last, as_json=as_json)
    elif on_line:
        option = {"name": "--on", "last": "--last", "as_json": "--json"}[on_line[0]]
        raise click.UsageError(f"write {option} behind {context.invoked_subcommand}")


@command.command("list")
@_on
@_last
@as_json
def list_results(name: str | None, last: int, as_json: bool) -> None:
    """List the newest results first.

    \b
    kedge results list --on pi
    """
    with _store() as store:
        listing = store.list_results(name, last)
    lines = listing.lines
    if as_json:
        output.print_json({"schema": 1, "results": [vars(line) for line in lines]})
        return _raise_damage(listing)
    if not lines:
        if not listing.damage:
            whose = f" of {name}" if name else ""
            output.note(f"no results{whose} yet: kedge bench FILE --on NAME")
        return _raise_damage(listing)
    rows = [
        [
            str(line.id),
            line.taken_at[:16].replace("T", " "),
            line.target,
            f"{line.recipe or Path(line.model).name} {line.model_sha256[:8]}",
            str(line.threads),
            line.mode or "–",
            words.duration(line.median_us),
            line.verdict,
        ]
        for line in lines
    ]
    columns = ["result", "taken at (UTC)", "target", "model", "threads", "mode", "median"]
    details = ("threads", "mode", "taken at (UTC)")
    output.table("", [*columns, "verdict"], rows, details)
    return _raise_damage(listing)


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
@click.argument("numbers", type=int, nargs=-1, metavar="[NUMBER]…")
@click.argument("file", type=file_path())
@click.option("--csv", "as_csv", is_flag=True, help="Write a table as CSV, a line for each result.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Write a table as Markdown.")
def export(numbers: tuple[int, ...], file: Path, as_csv: bool, as_markdown: bool) -> None:
    """Write one result with all its samples as JSON, or the figures of many as a table.

    A table has the results with these numbers, or all without numbers; FILE may be `-` for the
    standard output.

    \b
    kedge results export 12 result12.json
    kedge results export --csv results.csv
    kedge results export 12 13 14 --markdown -
    """
    from toolkit.report.result_table import csv_text, markdown_text
    from toolkit.report.stored_result import plain_samples
    from toolkit.results.export import json_text, write_export

    if as_csv and as_markdown:
        raise click.UsageError("choose one of --csv and --markdown")
    listing = None
    with _store() as store:
        if as_csv or as_markdown:
            listing = store.list_results(limit=None, numbers=numbers)
            text = (csv_text if as_csv else markdown_text)(listing.lines)
        elif len(numbers) == 1:
            text = json_text(plain_samples(store.load(numbers[0])))
        else:
            raise click.UsageError("JSON holds one result: name one, or take --csv or --markdown")
    if str(file) == "-":
        output.say(text.rstrip("\n"))
    else:
        write_export(file, text)
        what = "results" if as_csv or as_markdown else f"result {numbers[0]}"
        output.say(f"wrote {what} to {file}")
    if listing is not None:
        _raise_damage(listing)


@command.command("delete")
@click.argument("numbers", type=int, nargs=-1, required=True, metavar="NUMBER…")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(numbers: tuple[int, ...], yes: bool) -> None:
    """Delete results with all their samples. The command asks first; nothing brings them back.

    \b
    kedge results delete 12 13
    """
    with _store() as store:
        listing = store.list_results(limit=None, numbers=numbers)
        for line in listing.lines:
            model = f"{Path(line.model).name} {line.model_sha256[:8]}"
            output.note(f"{line.id}  {line.taken_at}  {line.target}  {model}  {line.verdict}")
        for damage in listing.damage.values():
            output.note(damage)
        ids = [*(line.id for line in listing.lines), *listing.damage]
        if not yes:
            _confirm(f"Delete {len(ids)} of the results?")
        store.delete(ids)
    output.say(f"deleted {', '.join(map(str, ids))}")


def _confirm(question: str) -> None:
    try:
        is_confirmed = click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        output.note("")
        message = "nobody is there to confirm; nothing was deleted. Use --yes to delete"
        raise click.UsageError(message) from None
    if not is_confirmed:
        raise click.Abort


def keep(project: Path, records: Sequence[ResultRecord]) -> list[int]:
    """Keep results in the project's store, say their numbers and return them.

    Raises:
        ResultStoreError: The store cannot be written; nothing was kept.
    """
    from toolkit.results.store import open_results

    with open_results(project) as store:
        numbers = store.save(records)
    if numbers:
        output.note("kept as result " + ", ".join(map(str, numbers)))
    return numbers


def _raise_damage(listing: ResultList) -> None:
    """Name the damaged results, once the others are shown.

    Raises:
        ResultStoreError: There are damaged ones.
    """
    from toolkit.results.database import ResultStoreError

    if listing.damage:
        numbers = " ".join(map(str, listing.damage))
        raise ResultStoreError(
            "\n".join(listing.damage.values()),
            f"The other results can be used; to remove them: kedge results delete {numbers}",
        )


@contextmanager
def _store() -> Iterator[ResultStore]:
    from toolkit.project import find_project
    from toolkit.results.store import open_results

    with open_results(find_project()) as store:
        yield store
