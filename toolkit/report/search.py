"""The outcome of a search in tables: the fronts, and which of their models may be alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.report import words
from toolkit.report.tables import Block, Table

_HEADS = (
    "model",
    "recipe",
    "validation % (95 %)",
    "test %",
    "latency ratio",
    "ms",
    "size",
    "alike",
)
_DETAILS = ("size", "ms", "test %")
#: Objective to the head of its column and the field of a point; those that not each search has.
_MORE = {"memory": ("memory ratio", "memory_ratio"), "energy": ("energy ratio", "energy_ratio")}


def describe_search(plain: dict[str, Any], folder: Path) -> list[Block]:
    """Return the outcome of a search for a person.

    Args:
        plain: Contents of search.json.
        folder: Folder of the search.
    """
    several = bool(plain["fronts"])
    title = f"Front on {plain['place']}; ratio to plain int8"
    if several:
        title = f"Front of the worst case on {plain['place']}; ratio to plain int8"
    blocks: list[Block] = [front_table(title, plain["front"], plain["objectives"])]
    blocks += [
        front_table(f"Front on {name}", points, plain["objectives"])
        for name, points in plain["fronts"].items()
    ]
    blocks += [*search_sentences(plain), *_elsewhere(plain, folder)]
    dropped = len(plain["dropped"])
    blocks.append(
        f"{plain['finished']} trials ended, {dropped} of them without a result; written: "
        f"{words.path(folder / 'search.json')} and {words.path(folder / 'front')}"
        + (f" (of each board: {words.path(folder / 'front')}/on-NAME)" if several else "")
    )
    return blocks


def search_sentences(plain: Mapping[str, Any]) -> list[str]:
    """Return what is to be said about the fronts of a search.

    Args:
        plain: Contents of search.json.
    """
    moves = plain["refused_moves"].items()
    return [
        _original(plain),
        *_alike(plain),
        *_boards(plain),
        *_budget(plain),
        *(f"no {move}: {reason}" for move, reason in moves),
    ]


def _elsewhere(plain: dict[str, Any], folder: Path) -> list[Block]:
    return [
        f"model {number}: its files are with {point['elsewhere']}; kedge convert --recipe "
        f"{words.path(folder / 'front' / str(number) / 'recipe.toml')} makes it again"
        for number, point in enumerate(plain["front"], start=1)
        if point["elsewhere"]
    ]


def _original(plain: Mapping[str, Any]) -> str:
    original, test = plain["original_accuracy"], plain["original_test_accuracy"]
    of_test = "" if test is None else f", {test['value']:.2%} of the test samples"
    return (
        f"original: {original['value']:.2%} of the validation samples{of_test}; trials were chosen "
        "by the validation samples, and the test samples judged only what stands in a table"
    )


def front_table(
    title: str, points: Sequence[Mapping[str, Any]], objectives: Sequence[str]
) -> Table:
    """Return a front as a table.

    Args:
        title: Title.
        points: Models of the front in search.json.
        objectives: Names of the objectives.
    """
    more = [_MORE[name] for name in objectives if name in _MORE]
    numbers = {point["number"]: number for number, point in enumerate(points, start=1)}
    rows = [
        _cells(number, point, numbers, [field for _, field in more])
        for number, point in enumerate(points, start=1)
    ]
    return Table(title, (*_HEADS, *(head for head, _ in more)), rows, _DETAILS)


def _alike(plain: Mapping[str, Any]) -> list[str]:
    fronts = [plain["front"], *plain["fronts"].values()]
    if not any(point["alike"] for front in fronts for point in front):
        return []
    return [
        "alike: models of the table that cannot be told apart, as their intervals overlap in every "
        "objective"
    ]


def _boards(plain: Mapping[str, Any]) -> list[str]:
    blocks: list[str] = []
    for name, state in plain["boards"].items():
        if state["reason"]:
            words_of_state = "does not measure" if state["missing"] else "did not answer at last"
            blocks.append(f"{name} {words_of_state}: {state['reason']}")
        if state["missing"]:
            blocks.append(
                f"{name} has not measured {state['missing']} models, which are left out of its "
                "front and of the worst case; the same command measures them when it is there again"
            )
    return blocks


def _budget(plain: Mapping[str, Any]) -> list[str]:
    """The fastest model that keeps the budgets, or the nearest one."""
    max_drop, max_us = plain["max_drop"], plain["max_latency_us"]
    budgets = [] if max_drop is None else [f"--max-drop {max_drop:.2%}"]
    budgets += [] if max_us is None else [f"--max-latency {max_us / 1e3:.4g}ms"]
    if not budgets:
        return []
    both = " and ".join(budgets)
    points = list(enumerate(plain["front"], start=1))
    keeping = [number for number, point in points if point["keeps_budget"]]
    if keeping:
        return [f"fastest within {both}: model {keeping[0]}"]
    if not points:
        return [f"no model keeps {both}"]
    in_time = [
        each for each in points if max_us is None or each[1]["latency_us"]["value"] <= max_us
    ]
    if in_time:
        number, point = max(in_time, key=lambda each: each[1]["accuracy"]["value"])
        near = f"model {number} ({point['accuracy']['value']:.2%} of the validation samples)"
        return [f"no model keeps {both}; the nearest is {near}"]
    return [f"no model keeps {both}; the nearest is {_fastest(plain)}"]


def _fastest(plain: Mapping[str, Any]) -> str:
    """The fastest of all structures, trained or not."""
    number, point = min(
        enumerate(plain["front"], start=1), key=lambda each: each[1]["latency_us"]["value"]
    )
    dropped, latency_us = plain["fastest_dropped"], point["latency_us"]["value"]
    if dropped is not None and dropped["latency_us"] < latency_us:
        return (
            f"trial {dropped['number']} ({dropped['recipe']}, {dropped['latency_us'] / 1e3:.4g} "
            "ms), which was not trained"
        )
    return f"model {number} ({latency_us / 1e3:.4g} ms)"


def _cells(
    number: int, point: Mapping[str, Any], numbers: dict[int, int], more: list[str]
) -> list[str]:
    accuracy, test = point["accuracy"], point["test_accuracy"]
    return [
        str(number),
        point["recipe"],
        f"{100 * accuracy['value']:.2f} ({100 * accuracy['low']:.2f} to "
        f"{100 * accuracy['high']:.2f})",
        "–" if test is None else f"{100 * test['value']:.2f}",
        _ratio(point["latency_ratio"]),
        f"{point['latency_us']['value'] / 1e3:.4g}",
        words.size(point["model_bytes"]),
        ", ".join(str(numbers[other]) for other in point["alike"]) or "–",
        *(_ratio(point[field]) for field in more),
    ]


def _ratio(ratio: dict[str, float] | None) -> str:
    if ratio is None:
        return "–"
    return f"{ratio['value']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
