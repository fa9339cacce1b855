"""`kedge results`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import output
from toolkit.cli.options import as_json, file_path

if TYPE_CHECKING:
    from toolkit.results.store import ResultStore, StoredResult


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
            output.duration(line.median_us),
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
    from toolkit.report.measurement import plain_row
    from toolkit.report.measurement_text import show_row_details, show_rows, show_verdict

    with _store() as store:
        found = store.load(number)
    row = found.row
    if as_json:
        known = {**vars(found.line), **found.document}
        output.print_json({"schema": 1, **known, **plain_row(row), "then": vars(found.verdict)})
        return
    show_verdict(row)
    if found.verdict.kind != row.verdict.kind:
        output.say(f"    note: when it was taken it was called {found.verdict.kind}")
    output.say("")
    output.table(f"result {number}, {found.line.taken_at}", ["", "found"], _identity(found))
    show_rows("computed again from the samples", (row,))
    show_row_details(row, found.document.get("model_bytes"))


def _identity(found: StoredResult) -> list[list[str]]:
    line, told = found.line, found.document
    facts, settings, parity = told["facts"], told["settings"], told["parity"]
    host = told.get("host", {})
    asked = [f"{name} {value}" for name, value in settings.items() if value or name == "seed"]
    return [
        ["model", f"{line.model} (sha256 {line.model_sha256})"],
        ["target", f"{line.target}, {told['place']}"],
        ["board", f"{facts['model']}, {facts['os']}, kernel {facts.get('kernel', 'unknown')}"],
        ["runtime", line.runtime],
        ["agent", str(facts.get("agent_sha256", "unknown"))],
        ["settings", ", ".join(asked)],
        ["kedge", f"{told['kedge']} on {host.get('name', 'an unknown host')}"],
        ["outputs", f"{parity['verdict']}: {parity['reason']}"],
        *([["accuracy", _accuracy(told["accuracy"])]] if told.get("accuracy") else []),
    ]


def _accuracy(plain: dict[str, Any]) -> str:
    """Of what was kept of `toolkit.measure.accuracy.BoardAccuracy`."""
    board, host = output.percent(plain["board"]), output.percent(plain["host"])
    low, high = map(output.percent, plain["board_interval"])
    return (
        f"{board} on the board (95 % interval {low} to {high}), {host} on the host, "
        f"{plain['samples']:,} samples of {plain['data']}"
    )


@command.command("export")
@click.argument("number", type=int)
@click.argument("file", type=file_path())
def export(number: int, file: Path) -> None:
    """Write one result with all its samples to a JSON file.

    \b
    kedge results export 12 result12.json
    """
    import json

    from toolkit.results.store import ResultStoreError, as_document

    with _store() as store:
        text = json.dumps(as_document(store.load(number)), indent=1)
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        message = f"cannot write {file}: {error.strerror or error}"
        raise ResultStoreError(message, "Name a file that can be written.") from error
    output.say(f"wrote result {number} to {file}")


@contextmanager
def _store() -> Iterator[ResultStore]:
    from toolkit.project import open_inventory
    from toolkit.results.store import open_results

    with open_results(open_inventory().path.parent) as store:
        yield store
