"""Steps that make a network compute at fewer places: a smaller input, a larger stride."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from converters.data.dataset import TRAIN
from converters.recipe.step import SHAPE, Step, next_of, number

#: Shares of each side that are kept, one after the other, where a budget of accuracy does not allow
#: less.
_RATIOS = (0.5, 0.625, 0.75, 0.875)


@dataclass(frozen=True)
class Resolution(Step):
    """Smaller inputs: pictures or series are resized in front of the network.

    Training has to follow. The file takes the small input, and model.toml says so.
    """

    kind: ClassVar[str] = "resolution"
    phase: ClassVar[str] = SHAPE
    function: ClassVar[str] = "converters.resolution.technique:reduce_resolution"
    uses: ClassVar[tuple[str, ...]] = (TRAIN,)
    trains: ClassVar[bool] = True
    ratio: float = number(0.5, 0.05, 0.95)
    """Share of the height and of the width that is to be left, 0-1; of the length of a series."""

    @property
    def label(self) -> str:
        """The step's part of the recipe's name: "resolution50" leaves half of each side."""
        return f"resolution{100 * self.ratio:.3g}"

    def milder(self) -> Step | None:
        """Return a step that leaves a larger input; None if there is none."""
        ratio = next_of(_RATIOS, self.ratio)
        return None if ratio is None else replace(self, ratio=ratio)


@dataclass(frozen=True)
class StemStride(Step):
    """A larger stride in the first convolution: the input stays, all later layers get smaller.

    Training has to follow.
    """

    kind: ClassVar[str] = "stem_stride"
    phase: ClassVar[str] = SHAPE
    function: ClassVar[str] = "converters.resolution.technique:widen_stem_stride"
    uses: ClassVar[tuple[str, ...]] = (TRAIN,)
    trains: ClassVar[bool] = True
    factor: int = number(2, 2, 8)
    """Factor of the stride of the first convolution, in height and width; with 2 the layers behind
    it compute at a quarter of the places, of a series at half."""

    @property
    def label(self) -> str:
        """The step's part of the recipe's name, such as "stemstride2"."""
        return f"stemstride{self.factor}"

    def milder(self) -> Step | None:
        """Return a step with half of the factor; None if there is none."""
        return replace(self, factor=self.factor // 2) if self.factor >= 4 else None
