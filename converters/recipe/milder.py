"""Which recipe to try next when one loses more accuracy than is allowed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from converters.recipe.number_steps import PtqF16
from converters.recipe.recipe import Recipe
from converters.recipe.step import NUMBERS, TRAINING, Step

#: A recipe with milder steps is tried so often at most, the one that was asked for included.
MOST_ATTEMPTS = 8


@dataclass(frozen=True)
class _Part:
    """A step that loses accuracy and the training that wins some of it back: steps a to b."""

    first: int
    last: int


def milder_recipe(
    recipe: Recipe, drops: Sequence[float | None], file_drop: float, max_drop: float
) -> Recipe | None:
    """Make the step that lost most milder, or leave it out.

    A step and the training behind it are judged together: what pruning loses and training wins
    back is not lost.

    Args:
        recipe: Recipe whose file lost too much.
        drops: Accuracy lost up to the end of each step, on the validation samples; None where only
            the file can tell.
        file_drop: Accuracy that the file loses on them.
        max_drop: Largest loss that is allowed, 0-1; for steps that take it as a value.

    Returns:
        The milder recipe; None if no step that makes the model smaller would be left.
    """
    parts = _parts(recipe.steps)
    if not parts:
        return None
    worst = max(
        range(len(parts)),
        key=lambda number: _lost_by(parts, number, [*drops], file_drop),
    )
    first, last = parts[worst].first, parts[worst].last
    milder = _milder(recipe.steps[first], max_drop)
    middle = () if milder is None else (milder, *recipe.steps[first + 1 : last + 1])
    steps = (*recipe.steps[:first], *middle, *recipe.steps[last + 1 :])
    return replace(recipe, steps=steps) if _parts(steps) else None


def _parts(steps: Sequence[Step]) -> list[_Part]:
    starts = [number for number, step in enumerate(steps) if step.phase != TRAINING]
    ends = [*starts[1:], len(steps)]
    return [_Part(first, end - 1) for first, end in zip(starts, ends, strict=False)]


def _lost_by(
    parts: Sequence[_Part], number: int, drops: list[float | None], file_drop: float
) -> float:
    after = drops[parts[number].last]
    if after is None:
        after = file_drop
    before = next(
        (drop for drop in reversed(drops[: parts[number].first]) if drop is not None), 0.0
    )
    return after - before


def _milder(step: Step, max_drop: float) -> Step | None:
    milder = step.milder()
    if milder is None and step.phase == NUMBERS and not isinstance(step, PtqF16):
        return PtqF16()  # half the bytes, next to no loss
    if milder is not None and "max_drop" in {field.name for field in fields(milder)}:
        values: dict[str, Any] = {"max_drop": max_drop}
        return replace(milder, **values)
    return milder


def may_be_tried(recipe: Recipe) -> tuple[Step, ...]:
    """Every step that backing off may come to: what samples they need has to be read before."""
    steps: list[Step] = []
    waiting = list(recipe.steps)
    while waiting:
        step = waiting.pop()
        if step not in steps:
            steps.append(step)
            milder = _milder(step, 0.0)
            waiting += [] if milder is None else [milder]
    return tuple(steps)
