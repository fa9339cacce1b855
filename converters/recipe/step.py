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

#: Values of `TrainingStep.mix`; `MIXUP_CUTMIX` takes one of both at random for each sample.
NO_MIX, MIXUP, CUTMIX, MIXUP_CUTMIX = "none", "mixup", "cutmix", "mixup_cutmix"


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


def tables(kind: type) -> Any:
    """A field that takes a list of tables, each with the fields of a dataclass."""
    return field(default=(), metadata={"tables": kind})


def choice(default: str, *others: str) -> Any:
    """A field that takes one of these words."""
    return field(default=default, metadata={"choices": (default, *others)})


@dataclass(frozen=True)
class Step:
    """One step of a recipe."""

    kind: ClassVar[str]
    """Name of the step in a recipe."""
    phase: ClassVar[str]
    """Phase of the step, by what it changes: `SHAPE`, `TRAINING`, `WEIGHTS` or `NUMBERS`."""
    function: ClassVar[str]
    """`module:name` of a `converters.draft.draft.Technique`; imported when the step is done, as
    TensorFlow's add-ons take seconds."""
    trial: ClassVar[str] = ""
    """`module:name` of a technique that refuses, before anything is trained, what the step itself
    would refuse after it; "" where the step can be done on trial."""
    uses: ClassVar[tuple[str, ...]] = ()
    """Samples that the step needs: `TRAIN`, `CALIBRATION`."""
    trains: ClassVar[bool] = False
    """Whether the step trains, which needs a model of tf-keras layers."""

    @property
    def label(self) -> str:
        """The step's part of the recipe's name."""
        return self.kind

    @property
    def needs(self) -> tuple[str, ...]:
        """Splits of the samples that the step needs with the values that it has."""
        return self.uses

    @property
    def asks_latency(self) -> bool:
        """Whether the step needs measured latencies."""
        return False

    def misfit(self) -> tuple[str, str]:
        """Return two values that do not fit together, and what to write; empty if all fit."""
        return "", ""

    def milder(self) -> Step | None:
        """Return a step that loses less accuracy; None if only leaving the step out does."""
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
    """Adam's at the beginning; "auto" tries a few on the validation samples. With a number here and
    for the epochs it falls to 0 along a cosine."""
    warmup_epochs: float = number(0.0, 0.0, 100.0)
    """Epochs, part of all, in which the learning rate rises from 0 before the cosine."""
    batch_size: int = number(64, 1, 65_536)
    """Samples a step."""
    augment: str = choice("none", "flip", "shift", "flip_shift")
    """Whether images are mirrored and moved at random."""
    mix: str = choice(NO_MIX, MIXUP, CUTMIX, MIXUP_CUTMIX)
    """Whether each sample is mixed with another one: as their weighted mean, or, for pictures, with
    a rectangle of the other. A teacher answers the mixed samples; labels are mixed by the same
    shares."""
    mix_alpha: float = number(1.0, 0.01, 100.0)
    """Parameter of the beta distribution of the shares; 1 makes all shares alike, less makes shares
    near 0 and 1 more frequent."""

    def misfit(self) -> tuple[str, str]:
        """Return what is wrong if the learning rate would rise and never follow the cosine."""
        if not self.warmup_epochs:
            return "", ""
        if isinstance(self.epochs, str) or isinstance(self.learning_rate, str):
            return f"warmup_epochs is {self.warmup_epochs:g}, but there is no cosine to rise to", (
                "Write numbers for `epochs` and `learning_rate`, or leave out `warmup_epochs`."
            )
        if self.warmup_epochs >= self.epochs:
            return f"warmup_epochs is {self.warmup_epochs:g} of {self.epochs} epochs", (
                "Write fewer than `epochs`."
            )
        return "", ""


def next_of(ladder: tuple[float, ...], value: float) -> float | None:
    """The first rung beyond a value, in the ladder's direction; None at its end."""
    rises = ladder[0] < ladder[-1]
    return next((rung for rung in ladder if (rung > value if rises else rung < value)), None)


def kept_twice(floats: tuple[str, ...], int16: tuple[str, ...]) -> tuple[str, str]:
    """Return what is wrong if a layer is to be kept in two types, and what to write; else empty."""
    both = [name for name in floats if name in int16]
    if both:
        return f"{both[0]!r} is in keep_float and in keep_int16", "Name it in one of them."
    return "", ""
