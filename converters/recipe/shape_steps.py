"""Steps that change what a network consists of: channels, blocks, fresh weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from converters.data.dataset import TRAIN
from converters.recipe.step import SHAPE, TRAINING, Step, choice, names, next_of, number

#: Shares of a model that are kept, one after the other, where a budget of accuracy does not allow
#: less.
_RATIOS = (0.5, 0.6, 0.75, 0.9)


@dataclass(frozen=True)
class PruneChannels(Step):
    """Channel pruning: whole channels are taken out; training has to follow.

    One of the three ratios is given; where somebody measures latency, it decides between choices
    that are alike otherwise.
    """

    kind: ClassVar[str] = "channels"
    phase: ClassVar[str] = SHAPE
    function: ClassVar[str] = "converters.prune_channels.technique:prune_channels"
    uses: ClassVar[tuple[str, ...]] = (TRAIN,)
    trains: ClassVar[bool] = True
    macs_ratio: float = number(0.0, 0.01, 0.99)
    """Share of the multiply-accumulates that is to be left, 0-1; 0 if not given."""
    parameters_ratio: float = number(0.0, 0.01, 0.99)
    """Share of the parameters that is to be left, 0-1; 0 if not given."""
    latency_ratio: float = number(0.0, 0.01, 0.99)
    """Share of the latency that is to be left, 0-1; 0 if not given."""
    importance: str = choice("taylor", "l1", "l2")
    """Measure of a channel's importance: the change of the loss without it (Taylor), or the norm of
    its weights."""
    scope: str = choice("global", "uniform", "sensitivity")
    """Layers that lose channels: those whose channels have the least importance in sum, all layers
    equally, or those whose loss grows least, as measured for each group of layers alone."""
    rounds: int = number(1, 1, 20)
    """Number of portions in which channels are removed, with a short training in between."""
    multiple: int = number(8, 1, 256)
    """Divisor of the number of channels left in a layer, as kernels compute so many at a time."""

    @property
    def ratios(self) -> dict[str, float]:
        """Ratios that the recipe sets, by their measure: "macs", "parameters" or "latency"."""
        every = {
            "macs": self.macs_ratio,
            "parameters": self.parameters_ratio,
            "latency": self.latency_ratio,
        }
        return {of: ratio for of, ratio in every.items() if ratio}

    @property
    def of(self) -> str:
        """Measure of which a share is to be left: "macs", "parameters" or "latency"."""
        return next(iter(self.ratios))

    @property
    def ratio(self) -> float:
        """Share of the measure that is to be left, 0-1."""
        return self.ratios[self.of]

    @property
    def asks_latency(self) -> bool:
        """Whether the step needs measured latencies: it does if it has to leave a share of it."""
        return self.latency_ratio > 0

    @property
    def label(self) -> str:
        """The step's part of the recipe's name.

        "channels50" removes half of the MACs; "channels50latencyx3" half of the latency, in three
        rounds.
        """
        of = "" if self.of == "macs" else self.of
        rounds = f"x{self.rounds}" if self.rounds > 1 else ""
        return f"channels{100 - 100 * self.ratio:.3g}{of}{rounds}"

    def milder(self) -> Step | None:
        """Return a step that removes less; None if there is none."""
        ratio = next_of(_RATIOS, self.ratio)
        changed: dict[str, Any] = {f"{self.of}_ratio": ratio}
        return None if ratio is None else replace(self, **changed)

    def misfit(self) -> tuple[str, str]:
        """Return what is wrong unless exactly one ratio is set: two could contradict each other."""
        if len(self.ratios) == 1:
            return "", ""
        ratios = " and ".join(f"{of}_ratio" for of in self.ratios) or "no ratio"
        return f"{ratios} given, expected one of macs_ratio, parameters_ratio, latency_ratio", (
            "Write one of them, such as `macs_ratio = 0.5`."
        )


@dataclass(frozen=True)
class PruneBlocks(Step):
    """Network pruning: whole blocks and layers are taken out; training has to follow.

    One of the three is given.
    """

    kind: ClassVar[str] = "blocks"
    phase: ClassVar[str] = SHAPE
    function: ClassVar[str] = "converters.prune_blocks.technique:prune_blocks"
    uses: ClassVar[tuple[str, ...]] = (TRAIN,)
    trains: ClassVar[bool] = True
    macs_ratio: float = number(0.0, 0.01, 0.99)
    """Share of the multiply-accumulates that is to be left, 0-1; 0 if not given."""
    count: int = number(0, 1, 1_000)
    """Number of blocks to remove; 0 if not given."""
    remove: tuple[str, ...] = names()
    """Names of the blocks to remove, in this order, as kedge prints them."""

    @property
    def label(self) -> str:
        """The step's part of the recipe's name.

        "blocks25" removes a quarter of the MACs, "2blocks" two blocks, "without2blocks" two blocks
        that the recipe names.
        """
        if self.remove:
            return f"without{len(self.remove)}blocks"
        return f"{self.count}blocks" if self.count else f"blocks{100 - 100 * self.macs_ratio:.3g}"

    def milder(self) -> Step | None:
        """Return a step that removes less; None if there is none."""
        if self.remove:
            return replace(self, remove=self.remove[:-1]) if len(self.remove) > 1 else None
        if self.count:
            return replace(self, count=self.count - 1) if self.count > 1 else None
        ratio = next_of(_RATIOS, self.macs_ratio)
        return None if ratio is None else replace(self, macs_ratio=ratio)

    def misfit(self) -> tuple[str, str]:
        """Return what is wrong unless exactly one of share, count and names is set."""
        every = {"macs_ratio": self.macs_ratio, "count": self.count, "remove": self.remove}
        options = [name for name, value in every.items() if value]
        if len(options) == 1:
            return "", ""
        return f"{' and '.join(options) or 'nothing'} given, expected one of {', '.join(every)}", (
            "Write `macs_ratio = 0.75`, `count = 1`, or names of blocks in `remove`."
        )


@dataclass(frozen=True)
class StartOver(Step):
    """Training from scratch: the weights are initialized anew, for a comparison with pruning."""

    kind: ClassVar[str] = "scratch"
    phase: ClassVar[str] = TRAINING
    function: ClassVar[str] = "converters.training.start_over:forget"
    uses: ClassVar[tuple[str, ...]] = (TRAIN,)
    trains: ClassVar[bool] = True
