"""One step of a recipe: its fields, and its place among the other steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from converters.data.dataset import TRAIN

#: Phase of a step, by what it changes; `converters.recipe.recipe` knows which may follow which.
SHAPE = "shape"
TRAINING = "training"
WEIGHTS = "weights"
NUMBERS = "numbers"

#: Value of a field that a recipe leaves to kedge.
AUTO = "auto"


def number(default: Any, low: float, high: float) -> Any:
    """A field that takes a number of the default's type, from `low` to `high`."""
    return field(default=default, metadata={"low": low, "high": high})


def number_or_auto(kind: type, low: float, high: float) -> Any:
    """A field that takes a number of a type, from `low` to `high`, or "auto", its default."""
    return field(default=AUTO, metadata={"low": low, "high": high, "auto": kind})


def paths() -> Any:
    """A field that takes a list of files, relative to the recipe's own."""
    return field(default=(), metadata={"paths": True})


def names() -> Any:
    """A field that takes a list of different names."""
    return field(default=(), metadata={"names": True})


def choice(default: str, *others: str) -> Any:
    """A field that takes one of these words."""
    return field(default=default, metadata={"choices": (default, *others)})


@dataclass(frozen=True)
class Step:
    """One step of a recipe.

    Class attributes:
        kind: What it is called in a recipe.
        phase: What it changes: `SHAPE`, `TRAINING`, `WEIGHTS` or `NUMBERS`.
        function: `module:name` of a `converters.draft.draft.Technique`; imported when the step is
            done, as TensorFlow's add-ons take seconds.
        uses: The samples it draws on: `TRAIN`, `CALIBRATION`.
        trains: Whether it trains, which only a model of tf-keras layers can be.
    """

    kind: ClassVar[str]
    phase: ClassVar[str]
    function: ClassVar[str]
    uses: ClassVar[tuple[str, ...]] = ()
    trains: ClassVar[bool] = False

    @property
    def label(self) -> str:
        """Its part of the recipe's name."""
        return self.kind

    @property
    def needs(self) -> tuple[str, ...]:
        """The samples that it draws on with the values that it has."""
        return self.uses

    @property
    def asks_latency(self) -> bool:
        """Whether it cannot do its work unless somebody measures files."""
        return False

    def misfit(self) -> tuple[str, str]:
        """Two values that do not go together and what to write instead; empty if all do."""
        return "", ""

    def milder(self) -> Step | None:
        """What loses less accuracy in its place; None if nothing does but to leave it out."""
        return None


@dataclass(frozen=True)
class TrainingStep(Step):
    """A step that trains."""

    uses: ClassVar[tuple[str, ...]] = (TRAIN,)
    trains: ClassVar[bool] = True
    epochs: int | str = number_or_auto(int, 1, 1_000)
    """Passes over the training samples, at most; "auto" goes on until the validation samples show
    no gain any more."""
    learning_rate: float | str = number_or_auto(float, 1e-8, 1.0)
    """Adam's at the beginning; "auto" tries a few on the validation samples."""
    batch_size: int = number(64, 1, 65_536)
    """Samples a step."""
    augment: str = choice("none", "flip", "shift", "flip_shift")
    """Whether images are mirrored and moved at random."""


def next_of(ladder: tuple[float, ...], value: float) -> float | None:
    """The first rung beyond a value, in the ladder's direction; None at its end."""
    rises = ladder[0] < ladder[-1]
    return next((rung for rung in ladder if (rung > value if rises else rung < value)), None)
