"""Every command has an example in its help, and the command line takes each of them."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from toolkit.cli.main import COMMANDS, kedge


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Names of all commands that do something, with those of their groups before them."""
    context = click.Context(group)
    for name in COMMANDS if not path else group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


def command_of(path: tuple[str, ...]) -> click.Command:
    command: click.Command | None = kedge
    for name in path:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name)
    assert command is not None
    return command


def examples(path: tuple[str, ...]) -> list[list[str]]:
    """Words behind `kedge` of each example in the help of a command."""
    lines = [line.strip() for line in (command_of(path).help or "").splitlines()]
    joined = " ".join(path)
    alone = [re.sub(r"\$\(.*?\)", "x", re.split(r" [|>] ", line)[0]) for line in lines]
    return [
        shlex.split(line.removeprefix("kedge "), comments=True)
        for line in alone
        if line.startswith(f"kedge {joined}")
    ]


@pytest.mark.parametrize("path", [*commands(kedge)], ids=" ".join)
def test_every_command_has_examples_that_the_command_line_takes(path: tuple[str, ...]) -> None:
    found = examples(path)
    assert found
    for words in found:
        assert tuple(words[: len(path)]) == path, words
        command_of(path).make_context("kedge", words[len(path) :])
