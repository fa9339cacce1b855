"""`kedge push`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from toolkit.cli import output
from toolkit.cli.options import as_json, file_path, target
from toolkit.report import words


@click.command("push")
@click.argument("file", type=file_path())
@target
@as_json
def command(file: Path, name: str | None, as_json: bool) -> None:
    """Send a .tflite into the scratch area of a board.

    A file that is already there is not sent again, and an interrupted transfer continues where it
    stopped. A model that the board's runtime cannot load is refused before anything is sent.

    \b
    kedge push out/model.tflite --to pi
    """
    from toolkit.deploy import push
    from toolkit.project import find_target

    board = find_target(name)
    with output.progress() as show:
        staged = push(file, board, show)
    if as_json:
        output.print_json({"schema": 1, "target": board.name, **asdict(staged)})
    else:
        if staged.was_damaged:
            output.warn(f"the copy of {file} on {name} was damaged, and was sent anew")
        sent = words.size(staged.sent_bytes)
        output.say(f"{file} ({words.size(staged.size_bytes)}) is on {board.name}, {sent} were sent")
        output.say(f"there: {staged.path}")
