"""Section of a page about a search: its fronts, and the trials that came to nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from toolkit.report.page.content import Plot, Section
from toolkit.report.page.plots import Point, draw_front
from toolkit.report.search import front_table, search_sentences
from toolkit.report.tables import Table

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
#: Numbers of trials that a row names.
_MOST_NUMBERS = 12


def sections_of_searches(searches: Sequence[Mapping[str, Any]]) -> Iterator[Section]:
    """Iterate over a section for each search.

    Args:
        searches: Contents of search.json of each.
    """
    for number, plain in enumerate(searches, start=1):
        of_several = f" {number}" if len(searches) > 1 else ""
        yield Section(
            f"search{number}",
            f"Search{of_several} on {plain['place']}",
            [
                "Up and to the left is better. The numbers are those of the models in the tables. "
                "Bars are 95 % intervals of the accuracy on validation samples and of the latency; "
                "models whose bars overlap on both axes are not told apart.",
                *search_sentences(plain),
            ],
            list(_plots(plain)),
            [*_tables(plain), *_reasons(plain["dropped"])],
        )


def describe_search_in_short(plain: Mapping[str, Any]) -> str:
    """Return a sentence about a search."""
    return (
        f"The search on {plain['place']} came to {len(plain['front'])} models that no other one "
        f"beats, after {plain['finished']} trials."
    )


def _fronts(plain: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    name = "the worst case of all boards" if plain["fronts"] else plain["place"]
    return [(name, plain["front"]), *plain["fronts"].items()]


def _plots(plain: Mapping[str, Any]) -> Iterator[Plot]:
    for name, points in _fronts(plain):
        if points:
            title = f"Accuracy on validation samples against latency: {name}"
            svg = draw_front(
                list(map(_point, range(1, len(points) + 1), points)),
                "latency as a multiple of plain int8",
                "accuracy on validation samples, %",
                title,
            )
            yield Plot(svg, f"Front: {name}.")


def _point(number: int, point: Mapping[str, Any]) -> Point:
    accuracy, ratio = point["accuracy"], point["latency_ratio"]
    return Point(
        str(number),
        ratio["value"],
        (ratio["low"], ratio["high"]),
        100 * accuracy["value"],
        (100 * accuracy["low"], 100 * accuracy["high"]),
    )


def _tables(plain: Mapping[str, Any]) -> list[Table]:
    return [
        front_table(f"Front: {name}", points, plain["objectives"])
        for name, points in _fronts(plain)
    ]


def _reasons(dropped: Mapping[str, str]) -> list[Table]:
    """Trials without a result; reasons that differ in their numbers alone are one row."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for number, reason in dropped.items():
        groups.setdefault(_NUMBER.sub("#", reason), []).append((number, reason))
    rows = [
        [str(len(group)), group[0][1], _numbers([number for number, _ in group])]
        for group in sorted(groups.values(), key=len, reverse=True)
    ]
    columns = ["trials", "reason, as of the first of them", "numbers"]
    return [Table("Trials that came to nothing", columns, rows)] if rows else []


def _numbers(numbers: Sequence[str]) -> str:
    more = len(numbers) - _MOST_NUMBERS
    return ", ".join(numbers[:_MOST_NUMBERS]) + (f" and {more} more" if more > 0 else "")
