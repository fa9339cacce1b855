"""Steps that replace layers by cheaper ones of the same shape."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from converters.data.dataset import TRAIN
from converters.recipe.step import SHAPE, Step, choice, names, next_of, number

#: Shares of the MACs that are kept, one after the other, where a budget of accuracy does not allow
#: less.
_RATIOS = (0.5, 0.6, 0.75, 0.9)


@dataclass(frozen=True)
class _Decomposition(Step):
    """A step that writes kernels as sums of products; training has to follow."""

    phase: ClassVar[str] = SHAPE
    uses: ClassVar[tuple[str, ...]] = (TRAIN,)
    trains: ClassVar[bool] = True
    macs_ratio: float = number(0.5, 0.01, 0.99)
    """Share of the model's multiply-accumulates that is to be left, 0-1."""

    @property
    def label(self) -> str:
        """The step's part of the recipe's name: "lowrank50" saves half of the MACs."""
        return f"{self.kind.replace('_', '')}{100 - 100 * self.macs_ratio:.3g}"

    def milder(self) -> Step | None:
        """Return a step that saves less; None if there is none."""
        ratio = next_of(_RATIOS, self.macs_ratio)
        return None if ratio is None else replace(self, macs_ratio=ratio)


@dataclass(frozen=True)
class LowRank(_Decomposition):
    """Low-rank factorization of Dense layers and 1×1 convolutions: one layer becomes two."""

    kind: ClassVar[str] = "low_rank"
    function: ClassVar[str] = "converters.replace_layers.technique:replace_by_low_rank"
    multiple: int = number(8, 1, 256)
    """Divisor of the number of channels between the two layers, as kernels compute so many at a
    time."""


@dataclass(frozen=True)
class Separable(_Decomposition):
    """Convolutions as a depthwise convolution and a 1×1 convolution."""

    kind: ClassVar[str] = "separable"
    function: ClassVar[str] = "converters.replace_layers.technique:replace_by_separable"


@dataclass(frozen=True)
class ReplaceActivations(Step):
    """Activation functions that a runtime computes faster; training has to follow."""

    kind: ClassVar[str] = "activation"
    phase: ClassVar[str] = SHAPE
    function: ClassVar[str] = "converters.replace_layers.activation:replace_activations"
    uses: ClassVar[tuple[str, ...]] = (TRAIN,)
    trains: ClassVar[bool] = True
    to: str = choice("hard_swish", "relu6", "relu")
    """Function in the place of the others."""
    replace: tuple[str, ...] = names()
    """Functions to replace; without it `swish`, `gelu`, `elu`, `selu` and `softplus`."""

    @property
    def label(self) -> str:
        """The step's part of the recipe's name, such as "to_relu6"."""
        return f"to_{self.to}"
