"""The outcome of a search in tables: the front, and which of its models may be alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.report import words
from toolkit.report.tables import Block, Table

_HEADS = ("model", "recipe", "validation % (95 %)", "test %", "latency ratio", "size")
_DETAILS = ("size", "test %")


def describe_search(plain: dict[str, Any], folder: Path) -> list[Block]:
    """Return the outcome of a search for a person.

    Args:
        plain: Contents of search.json.
        folder: Folder of the search.
    """
    rows = [_cells(number, point) for number, point in enumerate(plain["front"], start=1)]
    original = plain["original_accuracy"]
    blocks: list[Block] = [
        Table(f"Front on {plain['place']}; ratio to plain int8", _HEADS, rows, _DETAILS),
        f"original: {original['value']:.2%} of the validation samples; trials were chosen by these "
        "samples, and the test samples judged only what stands in the table",
    ]
    names = {point["number"]: number for number, point in enumerate(plain["front"], start=1)}
    blocks += [
        f"models {names[one]} and {names[other]} cannot be told apart: both intervals overlap"
        for one, other in plain["not_distinguishable"]
    ]
    blocks += [
        f"model {number}: its files are with {point['elsewhere']}; kedge convert --recipe "
        f"{words.path(folder / 'front' / str(number) / 'recipe.toml')} makes it again"
        for number, point in enumerate(plain["front"], start=1)
        if point.get("elsewhere")
    ]
    blocks += _budget(plain)
    blocks += [f"no {move}: {reason}" for move, reason in plain["refused_moves"].items()]
    dropped = len(plain["dropped"])
    blocks.append(
        f"{plain['finished']} trials ended, {dropped} of them without a result; written: "
        f"{words.path(folder / 'search.json')} and {words.path(folder / 'front')}"
    )
    return blocks


def _budget(plain: dict[str, Any]) -> list[Block]:
    """The fastest model that keeps the budget, or the nearest one."""
    if plain["max_drop"] is None:
        return []
    points = list(enumerate(plain["front"], start=1))
    keeping = [number for number, point in points if point["keeps_budget"]]
    if keeping:
        return [f"fastest within --max-drop {plain['max_drop']:.2%}: model {keeping[0]}"]
    nearest = max(points, key=lambda point: point[1]["accuracy"]["value"])[0]
    return [f"no model keeps --max-drop {plain['max_drop']:.2%}; the nearest is model {nearest}"]


def _cells(number: int, point: dict[str, Any]) -> list[str]:
    accuracy, ratio = point["accuracy"], point["latency_ratio"]
    test = point["test_accuracy"]
    return [
        str(number),
        point["recipe"],
        f"{100 * accuracy['value']:.2f} ({100 * accuracy['low']:.2f} to "
        f"{100 * accuracy['high']:.2f})",
        "–" if test is None else f"{100 * test:.2f}",
        f"{ratio['value']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})",
        words.size(point["model_bytes"]),
    ]
