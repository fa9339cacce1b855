"""`kedge init`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from toolkit.cli import output
from toolkit.cli.host_key import accept_host_key
from toolkit.cli.options import file_path, read_label
from toolkit.report import words


@click.command("init")
@click.option("--model", type=file_path(), help="Model to convert.")
@click.option("--data", type=file_path(), help="Its samples: .npz, a folder, or module:function.")
@click.option(
    "--board",
    "boards",
    multiple=True,
    metavar="NAME=USER@HOST|local",
    help="Board to add; may be repeated.",
)
def command(model: Path | None, data: Path | None, boards: tuple[str, ...]) -> None:
    """Begin a project in this folder: write kedge.toml, add its boards.

    Without options, it asks for them on a terminal. Model and data are looked at before anything is
    written; kedge.toml then has the commands for them as comments.

    \b
    kedge init
    kedge init --model model.h5 --data data.npz --board pi=pi@raspberrypi.local
    kedge init --board here=local
    """
    from toolkit.begin import begin_project, check_model_and_data

    if not (model or data or boards) and sys.stdin.isatty():
        model, data, boards = _ask()
    addresses = dict(read_label(text, "--board") for text in boards)
    check_model_and_data(model, data)
    path = begin_project(Path.cwd(), model, data, tuple(addresses))
    output.say(f"wrote {words.path(path)}")
    for name, address in addresses.items():
        _add(name, address)
    output.say("next: " + _next_step(model, data, tuple(addresses)))


def _ask() -> tuple[Path | None, Path | None, tuple[str, ...]]:
    """Ask for model, data and boards; an empty answer passes over a question."""
    model = _answer("Model to convert (.h5, .keras, .onnx, .pt2, .tflite, SavedModel)")
    data = _answer("Its samples (.npz, a folder of images, module:function)")
    boards = []
    while board := _answer("Board, as NAME=USER@HOST (empty: no more)"):
        boards.append(board)
    return (Path(model) if model else None, Path(data) if data else None, tuple(boards))


def _answer(question: str) -> str:
    return str(click.prompt(question, default="", show_default=False, err=True)).strip()


def _add(name: str, address: str) -> None:
    from targets.inventory import Target
    from toolkit.enrollment import enroll

    try:
        added = enroll(Target(name=name, address=address), None, accept_host_key)
    except Exception:
        output.note(f"{name} was not added; once it answers: kedge target add {name} {address}")
        raise
    output.say(f"added {added.target.name} ({address})")


def _next_step(model: Path | None, data: Path | None, names: tuple[str, ...]) -> str:
    if not names:
        return "kedge target add NAME USER@HOST"
    if model is None or data is None:
        return f"kedge convert-and-push MODEL --data DATA --to {names[0]}"
    return f"kedge convert-and-push {model} --data {data} --to {names[0]}"
