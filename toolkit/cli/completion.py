"""Names that the tab key completes: targets of the project, and recipes."""

from __future__ import annotations

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem


def complete_targets(
    context: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete names of targets, also the last of several with commas between them."""
    del context, param
    from toolkit.project import open_inventory

    try:
        names = tuple(open_inventory().targets)
    except Exception:  # a shell that completes has no place for a message; the command names it
        return []
    return _complete(incomplete, names)


def complete_boards(
    context: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete names of kinds of boards."""
    del context, param
    from targets.board_profile import board_profiles

    return _complete(incomplete, board_profiles())


def complete_recipes(
    context: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete names of recipes, the last of several with commas between them, or a path."""
    del context, param
    from converters.recipe.recipe import ALL, names_of_built_ins

    items = _complete(incomplete, (*names_of_built_ins(), ALL))
    return items or [CompletionItem(incomplete, type="file")]


def _complete(incomplete: str, names: Iterable[str]) -> list[CompletionItem]:
    before, comma, begin = incomplete.rpartition(",")
    used = before.split(",")
    return [
        CompletionItem(f"{before}{comma}{name}")
        for name in names
        if name.startswith(begin) and name not in used
    ]
