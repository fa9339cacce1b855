"""`kedge results`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from toolkit.cli import output
from toolkit.cli.completion import complete_targets
from toolkit.cli.groups import CommandGroup
from toolkit.cli.options import as_json, file_path, since, with_tag
from toolkit.report import words
from toolkit.results.entry_id import CONVERSION, EntryId, parse_entry_id

if TYPE_CHECKING:
    from toolkit.results.conversions import ConversionList, StoredConversion
    from toolkit.results.record import ResultRecord
    from toolkit.results.store import ResultLine, ResultStore


class EntryIdType(click.ParamType[EntryId]):
    """Number of a measurement, such as 12, or of a conversion, such as c3."""

    name = "ID"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> EntryId:
        """Read a number."""
        entry = parse_entry_id(str(value))
        if entry is None:
            self.fail(f"{value!r} is no number of a result such as 12 or c3", param, ctx)
        return entry


ENTRY = EntryIdType()

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
@with_tag
@since
@as_json
@click.pass_context
def command(
    context: click.Context, name: str | None, last: int, tag: str, since: str, as_json: bool
) -> None:
    """List, show and export the measurements and conversions of this project.

    They are stored in .kedge/results.db. Measurements have numbers such as 12, conversions such as
    c3. Without a command, it lists them.

    \b
    kedge results
    kedge results --on pi --last 5
    kedge results --tag release-7 --since 2026-11-01
    """
    options = {"name": "--on", "last": "--last", "tag": "--tag", "since": "--since"}
    options["as_json"] = "--json"
    on_line = [
        option
        for option in options
        if context.get_parameter_source(option) is ParameterSource.COMMANDLINE
    ]
    if context.invoked_subcommand is None:
        context.invoke(list_results, name=name, last=last, tag=tag, since=since, as_json=as_json)
    elif on_line:
        raise click.UsageError(f"write {options[on_line[0]]} behind {context.invoked_subcommand}")


@command.command("list")
@_on
@_last
@with_tag
@since
@as_json
def list_results(name: str | None, last: int, tag: str, since: str, as_json: bool) -> None:
    """List the newest measurements first, then the conversions.

    With --on, only measurements are listed: a conversion belongs to no board.

    \b
    kedge results list --on pi
    kedge results list --tag release-7
    """
    from toolkit.report.stored_conversion import conversion_cells, plain_conversion_line

    with _store() as store:
        listing = store.list_results(name, last, tag=tag, since=since)
        conversions = store.conversions.list_conversions(0 if name else last, tag, since)
    lines = listing.lines
    damage = [*listing.damage.items(), *_damage_of(conversions)]
    if as_json:
        entries = [plain_conversion_line(each) for each in conversions.entries]
        plain = {"schema": 1, "results": [vars(line) for line in lines], "conversions": entries}
        output.print_json(plain)
        return _raise_damage(damage)
    if not (lines or conversions.entries or damage):
        whose = f" of {name}" if name else ""
        hint = "" if tag or since else ": kedge bench FILE --on NAME"
        output.note(f"no results{whose}{' like that' if tag or since else ' yet'}{hint}")
    if lines:
        columns = ["result", "taken at (UTC)", "target", "model", "threads", "mode", "median"]
        details = ("threads", "mode", "taken at (UTC)", "tags")
        rows = [_result_cells(line) for line in lines]
        output.table("", *_with_tags([*columns, "verdict"], rows, lines), details)
    if conversions.entries:
        columns = ["result", "made at (UTC)", "recipe", "source", "on test samples", "size"]
        rows = [conversion_cells(each) for each in conversions.entries]
        narrow = ("source", "made at (UTC)", "tags")
        output.table("", *_with_tags(columns, rows, conversions.entries), narrow)
    return _raise_damage(damage)


def _result_cells(line: ResultLine) -> list[str]:
    return [
        str(line.id),
        line.taken_at[:16].replace("T", " "),
        line.target,
        f"{line.recipe or Path(line.model).name} {line.model_sha256[:8]}",
        str(line.threads),
        line.mode or "–",
        words.duration(line.median_us),
        line.verdict,
    ]


def _with_tags(
    columns: list[str], rows: list[list[str]], entries: Sequence[ResultLine | StoredConversion]
) -> tuple[list[str], list[list[str]]]:
    """Columns and rows, with the tags where an entry has some."""
    if not any(entry.tags for entry in entries):
        return columns, rows
    pairs = zip(rows, entries, strict=True)
    return [*columns, "tags"], [[*row, " ".join(entry.tags)] for row, entry in pairs]


@command.command("show")
@click.argument("entry", type=ENTRY, metavar="ID")
@as_json
def show(entry: EntryId, as_json: bool) -> None:
    """Show a measurement or a conversion.

    Figures and verdict of a measurement are computed again from its samples.

    \b
    kedge results show 12
    kedge results show c3
    """
    from toolkit.report.stored_conversion import describe_stored_conversion, plain_stored_conversion
    from toolkit.report.stored_result import describe_result, plain_result

    with _store() as store:
        if entry.table == CONVERSION:
            conversion = store.conversions.load(entry.number)
            plain, blocks = (
                plain_stored_conversion(conversion),
                describe_stored_conversion(conversion),
            )
        else:
            result = store.load(entry.number)
            plain, blocks = plain_result(result), describe_result(result)
    if as_json:
        output.print_json({"schema": 1, **plain})
    else:
        output.print_blocks(blocks)


@command.command("note")
@click.argument("entry", type=ENTRY, metavar="ID")
@click.argument("text")
def write_note(entry: EntryId, text: str) -> None:
    """Write a note to a measurement or a conversion; it replaces the earlier one, "" removes it.

    \b
    kedge results note 12 "with the new heat sink"
    kedge results note c3 ""
    """
    with _store() as store:
        store.labels.write_note(entry, text)
    output.say(f"note of {entry}: {text}" if text else f"{entry} has no note now")


@command.command("tag")
@click.argument("entry", type=ENTRY, metavar="ID")
@click.argument("tags", nargs=-1, required=True, metavar="TAG…")
@click.option("--remove", is_flag=True, help="Remove these tags instead of adding them.")
def change_tags(entry: EntryId, tags: tuple[str, ...], remove: bool) -> None:
    """Tag a measurement or a conversion, to find it by `--tag`.

    \b
    kedge results tag 12 baseline release-7
    kedge results tag c3 baseline --remove
    """
    with _store() as store:
        change = store.labels.remove_tags if remove else store.labels.add_tags
        change(entry, tags)
    what = "has no longer" if remove else "has"
    output.say(f"{entry} {what} the tags {', '.join(tags)}")


@command.command("export")
@click.argument("entries", type=ENTRY, nargs=-1, metavar="[ID]…")
@click.argument("file", type=file_path())
@click.option("--csv", "as_csv", is_flag=True, help="Write a table as CSV, a line for each result.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Write a table as Markdown.")
def export(entries: tuple[EntryId, ...], file: Path, as_csv: bool, as_markdown: bool) -> None:
    """Write one result with all its samples as JSON, or the figures of many as a table.

    A table has the measurements and conversions with these numbers, or all without numbers; FILE
    may be `-` for the standard output.

    \b
    kedge results export 12 result12.json
    kedge results export --csv results.csv
    kedge results export 12 13 c3 --markdown -
    """
    from toolkit.report.result_table import csv_text, markdown_text
    from toolkit.report.stored_conversion import plain_stored_conversion
    from toolkit.report.stored_result import plain_samples
    from toolkit.results.export import json_text, write_export

    if as_csv and as_markdown:
        raise click.UsageError("choose one of --csv and --markdown")
    damage: list[tuple[object, str]] = []
    with _store() as store:
        if as_csv or as_markdown:
            lines, conversions, damage = _select(store, entries)
            text = (csv_text if as_csv else markdown_text)(lines, conversions)
        elif len(entries) == 1 and entries[0].table == CONVERSION:
            text = json_text(plain_stored_conversion(store.conversions.load(entries[0].number)))
        elif len(entries) == 1:
            text = json_text(plain_samples(store.load(entries[0].number)))
        else:
            raise click.UsageError("JSON holds one result: name one, or take --csv or --markdown")
    if str(file) == "-":
        output.say(text.rstrip("\n"))
    else:
        write_export(file, text)
        what = "results" if as_csv or as_markdown else f"result {entries[0]}"
        output.say(f"wrote {what} to {file}")
    _raise_damage(damage)


@command.command("delete")
@click.argument("entries", type=ENTRY, nargs=-1, required=True, metavar="ID…")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(entries: tuple[EntryId, ...], yes: bool) -> None:
    """Delete measurements with all their samples, and what is known about conversions.

    The files of a conversion stay. The command asks first; nothing brings them back.

    \b
    kedge results delete 12 13 c3
    """
    with _store() as store:
        lines, conversions, damage = _select(store, entries)
        for line in lines:
            model = f"{Path(line.model).name} {line.model_sha256[:8]}"
            output.note(f"{line.id}  {line.taken_at}  {line.target}  {model}  {line.verdict}")
        for each in conversions:
            output.note(f"{each.entry}  {each.converted_at}  {each.conversion.recipe_label}")
        for _, what in damage:
            output.note(what)
        unique = [*dict.fromkeys(entries)]
        if not yes:
            _confirm(f"Delete {len(unique)} of the results?")
        store.delete([each.number for each in unique if each.table != CONVERSION])
        store.conversions.delete([each.number for each in unique if each.table == CONVERSION])
    output.say(f"deleted {', '.join(map(str, unique))}")


def _select(
    store: ResultStore, entries: Sequence[EntryId]
) -> tuple[Sequence[ResultLine], Sequence[StoredConversion], list[tuple[object, str]]]:
    """Return measurements, conversions, and the damage of those that cannot be read.

    Args:
        store: Results of the project.
        entries: Numbers; empty for all.

    Raises:
        ResultStoreError: There is none of a number.
    """
    numbers = [each.number for each in entries if each.table != CONVERSION]
    lines: Sequence[ResultLine] = ()
    damage: list[tuple[object, str]] = []
    if numbers or not entries:
        listing = store.list_results(limit=None, numbers=numbers)
        lines, damage = listing.lines, [*listing.damage.items()]
    every = store.conversions.list_conversions()
    known = {each.number: each for each in every.entries}
    named = [each.number for each in entries if each.table == CONVERSION]
    for number in dict.fromkeys(named):
        if number not in known and number not in every.damage:
            store.conversions.load(number)  # says that there is none
    numbers = [*dict.fromkeys(named)] if entries else [*known, *every.damage]
    damage += [(f"c{n}", every.damage[n]) for n in numbers if n in every.damage]
    return lines, [known[number] for number in numbers if number in known], damage


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


def _damage_of(conversions: ConversionList) -> list[tuple[object, str]]:
    return [(f"c{number}", what) for number, what in conversions.damage.items()]


def _raise_damage(damage: Sequence[tuple[object, str]]) -> None:
    """Name the damaged results, once the others are shown.

    Args:
        damage: Number of each damaged result, and what is wrong with it.

    Raises:
        ResultStoreError: There are damaged ones.
    """
    from toolkit.results.database import ResultStoreError

    if damage:
        numbers = " ".join(str(number) for number, _ in damage)
        raise ResultStoreError(
            "\n".join(what for _, what in damage),
            f"The other results can be used; to remove them: kedge results delete {numbers}",
        )


@contextmanager
def _store() -> Iterator[ResultStore]:
    from toolkit.project import find_project
    from toolkit.results.store import open_results

    with open_results(find_project()) as store:
        yield store
