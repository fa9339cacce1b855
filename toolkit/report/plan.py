"""Conversions that would be done, for a person: steps, samples, time and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.report import words
from toolkit.report.tables import Block, Table

#: Use of samples in a plan to its words, where these are others.
_USES = {"judged train": "train (judged)"}


def describe_plans(plans: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Return plans of one recipe or several for a person; several have a total.

    Args:
        plans: Entries of `plans` in the JSON of a dry run.
    """
    blocks = list[Block]()
    for plan in plans:
        if plan["refused"]:
            blocks.append(f"{plan['recipe']}: {plan['refused']}")
            continue
        rows = [
            [
                step["kind"],
                ", ".join(f"{k} {v}" for k, v in step["values"].items()),
                _about(step["seconds"]),
            ]
            for step in plan["steps"]
        ]
        total = f"about {_about(plan['seconds'])} and {words.size(plan['memory_bytes'])} of memory"
        blocks.append(Table(f"{plan['recipe']}: {total}", ["step", "values", "about"], rows))
        uses = ", ".join(f"{_USES.get(use, use)} {count}" for use, count in plan["samples"].items())
        blocks.append(f"samples: {uses}")
    done = [plan for plan in plans if not plan["refused"]]
    if len(done) > 1:
        startup = max(plan["startup_seconds"] for plan in done)
        seconds = startup + sum(plan["seconds"] - plan["startup_seconds"] for plan in done)
        blocks.append(f"all {len(done)} recipes: about {_about(seconds)}, without the measurement")
    return blocks


def _about(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 600 else f"{seconds / 60:.3g} min"
