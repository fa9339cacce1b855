"""The choice of the widths that leave a given share of the cost. NumPy only.

The search compares the choices near the target that lose little importance. With measurements it
takes the fastest of them, and among those that are equally fast the one that loses least; without
measurements it takes the one that loses least. NetAdapt (Yang et al., 2018) also decides by
measurements between proposals that meet a budget, but for one layer after another. Here a model of
the latency allows a decision about all layers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from converters.prune_channels.importance import Importance
from converters.prune_channels.ladder import Doubles, Ladder, Levels, Sizes
from converters.prune_channels.latency_model import LatencyModel

UNIFORM = "uniform"
GLOBAL = "global"

MACS = "macs"
PARAMETERS = "parameters"
LATENCY = "latency"

#: Largest distance below and above the target of a choice that is near it, as shares of the whole.
_BELOW, _ABOVE = 0.03, 0.01
#: Largest loss of a choice, as a multiple of the least loss of all choices near the target. It is
#: more than 1, because importance is an estimate; it is limited, because training has to make up
#: for the loss.
_SLACK = 1.5
#: Largest latency of a choice that counts as equally fast, as a multiple of the least latency: two
#: measurements of one file on a busy board differ by as much.
_AS_FAST = 1.05
#: Number of choices that the beam search keeps after each step, by each of two prices.
_WIDTH = 64
#: Number of joint choices that are measured in a round, and largest number of rounds.
_TRIALS, _ROUNDS = 8, 4
#: Number of the best choices so far that each round measures again: it shows which of them were
#: fast by chance.
_REPEATS = 3
#: Smallest difference between the choices of a round, in levels: a choice that is nearly equal to
#: another adds no information.
_LEAST_DIFFERENCE = 2
#: Largest difference between the best choice and those of the next round, in levels.
_NEIGHBOURS = 3

#: Measures the latency of choices (choices, groups) in turn with the whole model's: shares of that,
#: shape (choices,).
MeasureChoices = Callable[[Levels], Doubles]
#: Function of choices (choices, groups) to what is left, as shares of the whole model's (choices,).
Shares = Callable[[Levels], Doubles]


@dataclass(frozen=True)
class WidthTarget:
    """The share of a cost that the chosen widths should leave."""

    ratio: float
    """Share that should be left, 0-1."""
    of: str = MACS
    """Cost of which the share should be left: `MACS`, `PARAMETERS` or `LATENCY`."""
    scope: str = GLOBAL
    """Distribution of the removals: `UNIFORM` removes the same share of every group, `GLOBAL`
    removes first where the gain costs the least importance."""


@dataclass(frozen=True)
class Choice:
    """The chosen widths."""

    levels: tuple[int, ...]
    """Level of each group, in the order of `Ladder.orders`."""
    latency: float | None = None
    """Latency as a share of the whole model's; None where nothing was measured."""
    trial_count: int = 0
    """Number of choices that were measured."""


def importance_losses(ladder: Ladder, importance: Importance) -> tuple[Doubles, ...]:
    """Sum the importance of the channels that each level removes.

    Returns:
        For each group the loss of its levels, float64, shape (levels,).
    """
    losses = []
    for order, counts in zip(ladder.orders, ladder.counts, strict=True):
        sums = np.concatenate([[0.0], np.cumsum([importance[channel] for channel in order])])
        losses.append(sums[[len(order) - count for count in counts]])
    return tuple(losses)


def choose_widths(
    ladder: Ladder,
    sizes: Sizes,
    losses: Sequence[Doubles],
    target: WidthTarget,
    measure: MeasureChoices | None = None,
) -> Choice:
    """Choose a level for each group.

    Args:
        ladder: Levels of every group.
        sizes: Sizes of the model.
        losses: For each group the loss of its levels, float64, shape (levels,), in one unit for all
            groups.
        target: Share of a cost that should be left; without `measure`, MACs replace latency.
        measure: Function that measures choices; None where nothing is measured.

    Returns:
        Cheapest choice within the target's tolerance, or the nearest one if there is none.
    """
    search = _Search(ladder, sizes, losses, target)
    if measure is None:
        return Choice(_plain(search.candidates()[0]))
    if target.scope == UNIFORM and target.of != LATENCY:
        levels = search.candidates()[0]
        return Choice(_plain(levels), float(measure(levels[None])[0]), 1)
    return _choose_by_measurement(search, measure)


def _choose_by_measurement(search: _Search, measure: MeasureChoices) -> Choice:
    """Predict latencies, measure the most promising choices, and repeat around the best of them."""
    singles = _single_narrowings(search.ladder)
    model = LatencyModel(search.sizes, _by_group(search.ladder, measure(singles)))
    ratios_of: dict[tuple[int, ...], list[float]] = {}
    pool, before = search.candidates(model.ratios), None
    for _ in range(_ROUNDS):
        best = _best(search, ratios_of)[:_REPEATS]
        some = _different([row for row in pool if _plain(row) not in ratios_of])
        rows = np.array([*best, *some], np.int64)
        for row, ratio in zip(rows, measure(rows), strict=True):
            ratios_of.setdefault(_plain(row), []).append(float(ratio))
        first = _plain(_best(search, ratios_of)[0])
        if first == before:
            break
        before = first
        # The model's error is similar for similar choices.
        factor = (1 - np.median(ratios_of[first])) / (1 - model.ratios(np.array([first]))[0])
        pool = search.neighbours(np.array(first), _scale_savings(model.ratios, float(factor)))
    return Choice(first, float(np.median(ratios_of[first])), len(singles) + len(ratios_of))


def _best(search: _Search, ratios_of: Mapping[tuple[int, ...], Sequence[float]]) -> Levels:
    """All measured choices, best first."""
    if not ratios_of:
        return np.zeros((0, len(search.ladder.counts)), np.int64)
    ratios = np.array([np.median(repeats) for repeats in ratios_of.values()])
    return search.rank(np.array(list(ratios_of)), ratios)


def _scale_savings(predict: Shares, factor: float) -> Shares:
    """A prediction whose savings are multiplied by a factor."""
    return lambda levels: 1 - (1 - predict(levels)) * factor


class _Search:
    """The search among choices, by their costs and losses."""

    def __init__(
        self, ladder: Ladder, sizes: Sizes, losses: Sequence[Doubles], target: WidthTarget
    ) -> None:
        self.ladder, self.sizes, self._losses, self._target = ladder, sizes, losses, target
        self._whole = ladder.whole[None]

    def macs(self, levels: Levels) -> Doubles:
        """MACs of choices (choices, groups) as shares of the whole model's: (choices,)."""
        return self.sizes.macs(levels) / self.sizes.macs(self._whole)

    def candidates(self, predict: Shares | None = None) -> Levels:
        """Choices near the target, or the nearest ones; best first.

        Args:
            predict: Function that predicts latency; None where nothing is measured.
        """
        pool = _uniform(self.ladder)
        if self._target.scope != UNIFORM:
            pool = self._beam(predict or self.macs)
        return self.rank(pool, predict(pool) if predict else None)

    def neighbours(self, centre: Levels, predict: Shares) -> Levels:
        """Choices near the target that differ little from the choice `centre`; best first."""
        top = np.array([len(counts) - 1 for counts in self.ladder.counts])
        pool = centre[None]
        steps = np.concatenate(
            [np.eye(len(top), dtype=np.int64), -np.eye(len(top), dtype=np.int64)]
        )
        for _ in range(_NEIGHBOURS if self._target.scope != UNIFORM else 0):
            pool = np.unique((pool[:, None] + steps[None]).reshape(-1, len(top)), axis=0)
            pool = np.unique(np.concatenate([pool, centre[None]]), axis=0)
            pool = pool[((pool >= 0) & (pool <= top)).all(axis=1)]
        return self.rank(pool, predict(pool))

    def rank(self, levels: Levels, latency: Doubles | None) -> Levels:
        """Sort the choices near the target, best first; if there are none, all, nearest first.

        Args:
            levels: Choices, shape (choices, groups).
            latency: Latency of each choice, predicted or measured, shape (choices,); None where
                nothing is measured.
        """
        distance = self._cost(levels, latency) - self._target.ratio
        near = (distance <= _ABOVE) & (distance >= -_BELOW)
        if not near.any() or self._target.scope == UNIFORM:
            nearest: Levels = levels[np.argsort(np.abs(distance), kind="stable")]
            return nearest
        loss = self._loss(levels)
        near &= loss <= _SLACK * loss[near].min()
        levels, loss = levels[near], loss[near]
        slow = np.zeros(len(levels))
        if latency is not None:
            fast = latency[near] <= _AS_FAST * latency[near].min()
            slow = np.where(fast, 0.0, latency[near])
        best: Levels = levels[np.lexsort((loss, slow))]
        return best

    def _cost(self, levels: Levels, latency: Doubles | None) -> Doubles:
        if self._target.of == LATENCY and latency is not None:
            return latency
        if self._target.of == PARAMETERS:
            return self.sizes.parameters(levels) / self.sizes.parameters(self._whole)
        return self.macs(levels)

    def _loss(self, levels: Levels) -> Doubles:
        loss: Doubles = np.sum(
            [table[levels[:, group]] for group, table in enumerate(self._losses)], axis=0
        )
        return loss

    def _price(self, levels: Levels, shares: Doubles) -> Doubles:
        prices: Doubles = self._loss(levels) / np.maximum(1 - shares, 1e-6)
        return prices

    def _beam(self, shares_of: Shares) -> Levels:
        """All choices of a beam search whose steps narrow one group by one level."""
        top = np.array([len(counts) - 1 for counts in self.ladder.counts])
        steps = np.eye(len(top), dtype=np.int64)
        beam, choices = self._whole, [self._whole]
        while len(beam):
            children = (beam[:, None] + steps[None]).reshape(-1, len(top))
            children = np.unique(children[(children <= top).all(axis=1)], axis=0)
            if not len(children):
                break
            choices.append(children)
            shares = shares_of(children)
            above = self._cost(children, shares) > self._target.ratio - _BELOW
            children, shares = children[above], shares[above]
            # A step that saves no time may lead to a choice that does, so MACs decide as well.
            by_gain = np.argsort(self._price(children, shares), kind="stable")[:_WIDTH]
            by_macs = np.argsort(self._price(children, self.macs(children)), kind="stable")
            beam = children[np.unique(np.concatenate([by_gain, by_macs[:_WIDTH]]))]
        return np.concatenate(choices)


def _uniform(ladder: Ladder) -> Levels:
    """For each share from 1 to 0 the choice whose groups are nearest to it, each choice once."""
    choices = [
        [
            int(np.argmin([abs(count - share * counts[0]) for count in counts]))
            for counts in ladder.counts
        ]
        for share in np.linspace(1.0, 0.0, 201)
    ]
    return np.unique(np.array(choices, np.int64), axis=0)


def _single_narrowings(ladder: Ladder) -> Levels:
    """Choices that narrow one group alone: every level of each group but 0."""
    rows = []
    for group, counts in enumerate(ladder.counts):
        for level in range(1, len(counts)):
            row = ladder.whole
            row[group] = level
            rows.append(row)
    return np.array(rows, np.int64)


def _by_group(ladder: Ladder, ratios: Doubles) -> list[Doubles]:
    """Latency ratios of `_single_narrowings` for each group; level 0 is the whole model."""
    lengths = [len(counts) - 1 for counts in ladder.counts]
    parts = np.split(ratios, np.cumsum(lengths)[:-1])
    return [np.concatenate([[1.0], part]) for part in parts]


def _different(rows: Sequence[Levels]) -> Levels:
    """The first `_TRIALS` choices that differ enough from each other."""
    some: list[Levels] = []
    for row in rows:
        if all(int(np.abs(row - other).sum()) >= _LEAST_DIFFERENCE for other in some):
            some.append(row)
        if len(some) == _TRIALS:
            break
    return np.array(some, np.int64)


def _plain(levels: Levels) -> tuple[int, ...]:
    return tuple(int(level) for level in levels)
