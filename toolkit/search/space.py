"""What a trial may choose, and the recipe that it makes of it. Pure.

Every move is a step of a recipe, so that `kedge convert --recipe` makes each result again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import tomlkit
import tomlkit.exceptions

from converters.recipe.recipe import RecipeError, parse_recipe

#: Move to the shares of the multiplications that a trial may leave with it; 1 is no move.
MOVES: dict[str, tuple[float, ...]] = {
    "blocks": (1.0, 0.75, 0.6, 0.5),
    "separable": (1.0, 0.9, 0.75, 0.6),
    "low_rank": (1.0, 0.9, 0.75, 0.6),
    "channels": (1.0, 0.75, 0.6, 0.5, 0.4, 0.3, 0.2),
}
#: Divisors of the numbers of channels: kernels compute so many at a time.
_MULTIPLES = (8, 16)
_NUMBERS = ("qat_w8a8", "ptq_w8a8")
_TEMPERATURES, _ALPHAS = (2.0, 4.0, 8.0), (0.5, 0.8, 0.95)
_FEATURES = ("none", "attention")
#: Step that makes an untrained structure a file that can be measured: it is what a plain
#: conversion does.
PLAIN_STEP: Mapping[str, Any] = {"kind": "ptq_w8a8"}


class Suggest(Protocol):
    """What chooses the values of a trial."""

    def choose(self, name: str, options: Sequence[Any]) -> Any:
        """Choose one of several values of the parameter `name`."""
        ...


@dataclass(frozen=True)
class Candidate:
    """A network that a trial makes of the original, and how it is trained."""

    shape_steps: tuple[Mapping[str, Any], ...]
    """Steps that change the structure; they decide the latency."""
    training_steps: tuple[Mapping[str, Any], ...]
    """Steps behind them: the training, and the numbers of the file."""

    @property
    def structure(self) -> str:
        """Recipe that makes the structure with untrained weights, as TOML."""
        return recipe_text((*self.shape_steps, PLAIN_STEP))

    @property
    def recipe(self) -> str:
        """Recipe of the whole trial, as TOML."""
        return recipe_text((*self.shape_steps, *self.training_steps))


#: The original network in plain 8 bits: what every trial is compared with.
REFERENCE = Candidate((), (PLAIN_STEP,))


def propose(suggest: Suggest, moves: Collection[str], epochs: int | str) -> Candidate:
    """Make a candidate.

    Args:
        suggest: Chooses the values.
        moves: Keys of `MOVES` that the model can go through.
        epochs: Passes over the training samples in each training step, or "auto".
    """
    shape_steps: list[dict[str, Any]] = []
    for move in MOVES:
        left = suggest.choose(f"{move}_left", MOVES[move]) if move in moves else 1.0
        if left < 1:
            shape_steps.append({"kind": move, "macs_ratio": left})
    for step in shape_steps:
        if step["kind"] == "channels":
            step["multiple"] = suggest.choose("multiple", _MULTIPLES)
    training_steps: list[dict[str, Any]] = []
    if shape_steps:
        training_steps.append(
            {
                "kind": "distill",
                "epochs": epochs,
                "temperature": suggest.choose("temperature", _TEMPERATURES),
                "alpha": suggest.choose("alpha", _ALPHAS),
                "features": suggest.choose("features", _FEATURES),
            }
        )
    numbers = suggest.choose("numbers", _NUMBERS)
    last: dict[str, Any] = {"kind": numbers}
    if numbers == "qat_w8a8":
        last |= {"epochs": epochs, "teacher": "original"}
    return Candidate(tuple(shape_steps), (*training_steps, last))


def recipe_text(steps: Sequence[Mapping[str, Any]]) -> str:
    """Return a recipe of these steps as TOML."""
    return tomlkit.dumps({"schema": 1, "step": [dict(step) for step in steps]})


def recipe_name(text: str) -> str:
    """Return the name of a recipe, such as "channels50_distill_qat_w8a8"; "" if it has none.

    Args:
        text: The recipe as TOML; another machine may have written it.
    """
    try:
        return parse_recipe(tomlkit.parse(text).unwrap(), "recipe").name
    except (tomlkit.exceptions.TOMLKitError, RecipeError):
        return ""
