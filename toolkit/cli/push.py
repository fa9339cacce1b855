"""`kedge push`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import output
from toolkit.cli.help_section import help_section
from toolkit.cli.options import as_json, file_path, force, targets
from toolkit.report import words
from toolkit.report.exit_code import gravest_exit_code

if TYPE_CHECKING:
    from toolkit.fleet.push import PushResult


@click.command("push")
@click.argument("file", type=file_path())
@targets
@force
@as_json
def command(file: Path, selection: str | None, force: bool, as_json: bool) -> int:
    """Send a .tflite or .onnx into the scratch area of a board, or of many.

    A file that is already there is not sent again, and an interrupted transfer continues where it
    stopped. A model that the board's runtime cannot load is refused before anything is sent;
    --force sends it all the same, and says what it overrides.

    \b
    kedge push out/model.tflite --to pi
    kedge push out/model.tflite --to room=lab
    """
    if selection is not None and ("," in selection or "=" in selection):
        return _push_to_many(file, selection, force, as_json)
    from toolkit.deployment import push
    from toolkit.project import find_target

    board = find_target(selection)
    overridden: list[str] = []
    with output.progress() as show:
        staged = push(file, board, show, overridden.append if force else None)
    for refusal in overridden:
        output.warn(f"--force overrides: {refusal}")
    if as_json:
        plain = {"schema": 1, "target": board.name, **asdict(staged), "overridden": overridden}
        output.print_json(plain)
    else:
        if staged.was_damaged:
            output.warn(f"the copy of {file} on {board.name} was damaged, and was sent anew")
        sent = words.size(staged.sent_bytes)
        output.say(f"{file} ({words.size(staged.size_bytes)}) is on {board.name}, {sent} were sent")
        output.say(f"there: {staged.path}")
    return 0


def _push_to_many(file: Path, selection: str, force: bool, as_json: bool) -> int:
    from toolkit.fleet.project import open_fleet
    from toolkit.fleet.push import push_to_boards

    fleet = open_fleet()
    names = [target.name for target in fleet.inventory.select(selection)]
    with output.progress() as show, fleet.connections() as connections:
        results = push_to_boards(
            file, names, connections, lambda result: show(f"{result.target}: done", 1, 1), force
        )
    for result in results:
        if result.overridden:
            output.warn(f"{result.target}: --force overrides: {result.overridden}")
    if as_json:
        output.print_json({"schema": 1, "targets": list(map(_plain_result, results))})
    else:
        arrived = [result.staged for result in results if result.staged is not None]
        sent = words.size(sum(staged.sent_bytes for staged in arrived))
        output.say(f"{file} is on {len(arrived)} of {len(results)} boards, {sent} were sent")
    for result in results:
        if result.error is not None:
            output.note(f"{result.target}: {output.indent(str(result.error))}")
            if result.error.hint:
                output.note(f"  → {output.indent(result.error.hint)}")
    return gravest_exit_code(result.error.exit_code if result.error else 0 for result in results)


def _plain_result(result: PushResult) -> dict[str, Any]:
    """Return the entry of one board in the JSON."""
    if result.error is not None:
        return {
            "name": result.target,
            "error": str(result.error),
            "hint": result.error.hint,
            "help": help_section(result.error),
            "exit_code": result.error.exit_code,
        }
    assert result.staged is not None
    overridden = [result.overridden] if result.overridden else []
    return {"name": result.target, **asdict(result.staged), "overridden": overridden}
