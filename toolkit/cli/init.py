"""`kedge init`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from toolkit.cli import output
from toolkit.cli.host_key import accept_host_key
from toolkit.cli.options import file_path
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
    from targets.project_file import find_file
    from toolkit.begin import begin_project, check_boards, check_model_and_data, refuse_project

    folder = Path.cwd()
    refuse_project(folder)
    if not (model or data or boards) and sys.stdin.isatty():
        model, data, boards = _ask()
    addresses = check_boards(boards)
    check_model_and_data(model, data)
    outer = find_file(folder)
    path = begin_project(folder, model, data, tuple(addresses))
    if outer is not None:
        output.note(f"from now on {words.path(path)} counts here, and {outer} no longer")
    output.say(f"wrote {words.path(path)}")
    for name, address in addresses.items():
        _add(name, address)
    output.say("next: " + _next_step(model, data, tuple(addresses)))


def _ask() -> tuple[Path | None, Path | None, tuple[str, ...]]:
    """Ask for model, data and boards; an empty answer passes over a question."""
    from toolkit.begin import check_boards, check_model_and_data

    model = _answer(
        "Model to convert (.h5, .keras, .onnx, .pt2, .tflite, SavedModel)",
        lambda text: check_model_and_data(Path(text), None),
    )
    data = _answer(
        "Its samples (.npz, a folder of images, module:function)",
        lambda text: check_model_and_data(Path(model) if model else None, Path(text)),
    )
    boards: list[str] = []
    while board := _answer(
        "Board, as NAME=USER@HOST or NAME=local (empty: no more)",
        lambda text: check_boards([*boards, text]),
    ):
        boards.append(board)
    return (Path(model) if model else None, Path(data) if data else None, tuple(boards))


def _answer(question: str, check: Callable[[str], object]) -> str:
    """Ask until the answer is empty, or one that can be used.

    Args:
        question: Question.
        check: Function that refuses an answer.
    """
    from converters.errors import ConversionError
    from targets.errors import TargetError

    while True:
        text = str(click.prompt(question, default="", show_default=False, err=True)).strip()
        if not text:
            return ""
        try:
            check(text)
        except (ConversionError, TargetError) as error:
            output.note(f"{error}. {error.hint}")
        else:
            return text


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
