"""Which channels go, so that a share of the cost is left. NumPy only.

Of all choices near the target that lose little importance, the fastest is taken as it was measured,
and of those that are as fast the one that loses least; where nobody measures, the one that loses
least. So NetAdapt (Yang et al., 2018) decides between proposals that meet a budget, by measurements
and one layer after another; a model of the latency lets all layers be decided at once.
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

#: A choice is near the target if it lies so far below or above it, as shares of the whole.
_BELOW, _ABOVE = 0.03, 0.01
#: A choice may lose so much more than the one near the target that loses least: how much a channel
#: matters is only estimated, and what is lost here is what training has to win back.
_SLACK = 1.5
#: As fast as the fastest: two measurements of one file on a busy board differ by as much.
_AS_FAST = 1.05
#: Choices that are followed at a time, by each of two prices.
_WIDTH = 64
#: Joint choices that are measured at a time, and how often.
_MEASURED, _ROUNDS = 8, 4
#: The best so far are measured again each time: what was fast once, by chance, is found out.
_AGAIN = 3
#: Choices measured together differ in so many levels: nearly the same one tells nothing new.
_APART = 2
#: A next round looks at choices that differ from the best in so many levels.
_NEIGHBOURS = 3

#: Latency of some choices, measured in turn together with the whole model's, as shares of that.
Measure = Callable[[Levels], Doubles]
#: What choices leave of something, as shares of the whole model's.
Shares = Callable[[Levels], Doubles]


@dataclass(frozen=True)
class Target:
    """What is aimed at."""

    ratio: float
    """Share that is to be left, 0-1."""
    of: str = MACS
    """Of what: `MACS`, `PARAMETERS` or `LATENCY`."""
    scope: str = GLOBAL
    """`UNIFORM` takes the same share of every group, `GLOBAL` takes first where the gain costs the
    least importance."""


@dataclass(frozen=True)
class Choice:
    """What was chosen."""

    levels: tuple[int, ...]
    """Of each group, as in `Ladder`."""
    latency: float | None = None
    """As a share of the whole model's, or None where nobody measured."""
    measured: int = 0
    """How many choices were measured."""


def importance_losses(ladder: Ladder, importance: Importance) -> tuple[Doubles, ...]:
    """Of each group the importance of the channels that each level takes out, in sum."""
    found = []
    for order, counts in zip(ladder.orders, ladder.counts, strict=True):
        sums = np.concatenate([[0.0], np.cumsum([importance[channel] for channel in order])])
        found.append(sums[[len(order) - count for count in counts]])
    return tuple(found)


def choose_widths(
    ladder: Ladder,
    sizes: Sizes,
    lost: Sequence[Doubles],
    target: Target,
    measure: Measure | None = None,
) -> Choice:
    """Choose a level for each group.

    Args:
        ladder: The levels.
        sizes: Of the model.
        lost: Of each group what each level loses, in one unit for all groups.
        target: What is aimed at; without `measure`, MACs stand in for latency.
        measure: Measures choices; None where nobody does.

    Returns:
        Of the choices within the target's tolerance the cheapest, or the nearest one if none is.
    """
    search = _Search(ladder, sizes, lost, target)
    if measure is None:
        return Choice(_plain(search.found()[0]))
    if target.scope == UNIFORM and target.of != LATENCY:
        levels = search.found()[0]
        return Choice(_plain(levels), float(measure(levels[None])[0]), 1)
    return _by_measurement(search, measure)


def _by_measurement(search: _Search, measure: Measure) -> Choice:
    """Foretell, measure the most promising choices, look around the best of them, and again."""
    alone = _alone(search.ladder)
    foretold = LatencyModel(search.sizes, _by_group(search.ladder, measure(alone)))
    known: dict[tuple[int, ...], list[float]] = {}
    pool, before = search.found(foretold.ratios), None
    for _ in range(_ROUNDS):
        best = _best(search, known)[:_AGAIN]
        some = _apart([row for row in pool if _plain(row) not in known])
        rows = np.array([*best, *some], np.int64)
        for row, ratio in zip(rows, measure(rows), strict=True):
            known.setdefault(_plain(row), []).append(float(ratio))
        first = _plain(_best(search, known)[0])
        if first == before:
            break
        before = first
        # What was foretold is wrong alike for choices that are much alike.
        wrong = (1 - np.median(known[first])) / (1 - foretold.ratios(np.array([first]))[0])
        pool = search.around(np.array(first), _corrected(foretold.ratios, float(wrong)))
    return Choice(first, float(np.median(known[first])), len(alone) + len(known))


def _best(search: _Search, known: Mapping[tuple[int, ...], Sequence[float]]) -> Levels:
    """Of what was measured, the best first."""
    if not known:
        return np.zeros((0, len(search.ladder.counts)), np.int64)
    ratios = np.array([np.median(of_one) for of_one in known.values()])
    return search.ranked(np.array(list(known)), ratios)


def _corrected(foretold: Shares, factor: float) -> Shares:
    """What is foretold to be saved, times a factor."""
    return lambda levels: 1 - (1 - foretold(levels)) * factor


class _Search:
    """Choices, and what each costs and gains."""

    def __init__(
        self, ladder: Ladder, sizes: Sizes, lost: Sequence[Doubles], target: Target
    ) -> None:
        self.ladder, self.sizes, self._lost, self._target = ladder, sizes, lost, target
        self._whole = ladder.whole[None]

    def macs(self, levels: Levels) -> Doubles:
        """MACs of choices, as shares of the whole model's."""
        return self.sizes.macs(levels) / self.sizes.macs(self._whole)

    def found(self, foretold: Shares | None = None) -> Levels:
        """Choices near the target, or the nearest ones; the best first.

        Args:
            foretold: Latency of choices; None where nobody measures.
        """
        pool = _uniform(self.ladder)
        if self._target.scope != UNIFORM:
            pool = self._beam(foretold or self.macs)
        return self.ranked(pool, foretold(pool) if foretold else None)

    def around(self, centre: Levels, foretold: Shares) -> Levels:
        """Choices near the target that differ little from one; the best first."""
        top = np.array([len(counts) - 1 for counts in self.ladder.counts])
        pool = centre[None]
        steps = np.concatenate(
            [np.eye(len(top), dtype=np.int64), -np.eye(len(top), dtype=np.int64)]
        )
        for _ in range(_NEIGHBOURS if self._target.scope != UNIFORM else 0):
            pool = np.unique((pool[:, None] + steps[None]).reshape(-1, len(top)), axis=0)
            pool = np.unique(np.concatenate([pool, centre[None]]), axis=0)
            pool = pool[((pool >= 0) & (pool <= top)).all(axis=1)]
        return self.ranked(pool, foretold(pool))

    def ranked(self, levels: Levels, latency: Doubles | None) -> Levels:
        """Those near the target, the best first; else all, the nearest first.

        Args:
            levels: Choices.
            latency: Of each, foretold or measured; None where nobody measures.
        """
        distance = self._reached(levels, latency) - self._target.ratio
        near = (distance <= _ABOVE) & (distance >= -_BELOW)
        if not near.any() or self._target.scope == UNIFORM:
            nearest: Levels = levels[np.argsort(np.abs(distance), kind="stable")]
            return nearest
        lost = self._importance(levels)
        near &= lost <= _SLACK * lost[near].min()
        levels, lost = levels[near], lost[near]
        slow = np.zeros(len(levels))
        if latency is not None:
            fast = latency[near] <= _AS_FAST * latency[near].min()
            slow = np.where(fast, 0.0, latency[near])
        best: Levels = levels[np.lexsort((lost, slow))]
        return best

    def _reached(self, levels: Levels, latency: Doubles | None) -> Doubles:
        if self._target.of == LATENCY and latency is not None:
            return latency
        if self._target.of == PARAMETERS:
            return self.sizes.parameters(levels) / self.sizes.parameters(self._whole)
        return self.macs(levels)

    def _importance(self, levels: Levels) -> Doubles:
        lost: Doubles = np.sum(
            [of[levels[:, group]] for group, of in enumerate(self._lost)], axis=0
        )
        return lost

    def _price(self, levels: Levels, left: Doubles) -> Doubles:
        prices: Doubles = self._importance(levels) / np.maximum(1 - left, 1e-6)
        return prices

    def _beam(self, gained: Shares) -> Levels:
        """Narrows one group after another by a level, and follows the cheapest choices."""
        top = np.array([len(counts) - 1 for counts in self.ladder.counts])
        one = np.eye(len(top), dtype=np.int64)
        beam, seen = self._whole, [self._whole]
        while len(beam):
            children = (beam[:, None] + one[None]).reshape(-1, len(top))
            children = np.unique(children[(children <= top).all(axis=1)], axis=0)
            if not len(children):
                break
            seen.append(children)
            shares = gained(children)
            above = self._reached(children, shares) > self._target.ratio - _BELOW
            children, shares = children[above], shares[above]
            # A step may gain no time and yet lead to a choice that does: MACs decide as well.
            by_gain = np.argsort(self._price(children, shares), kind="stable")[:_WIDTH]
            by_macs = np.argsort(self._price(children, self.macs(children)), kind="stable")
            beam = children[np.unique(np.concatenate([by_gain, by_macs[:_WIDTH]]))]
        return np.concatenate(seen)


def _uniform(ladder: Ladder) -> Levels:
    """Of each share that may stay the choice whose groups are nearest to it."""
    choices = [
        [
            int(np.argmin([abs(count - share * counts[0]) for count in counts]))
            for counts in ladder.counts
        ]
        for share in np.linspace(1.0, 0.0, 201)
    ]
    return np.unique(np.array(choices, np.int64), axis=0)


def _alone(ladder: Ladder) -> Levels:
    """Every level of each group, all others being whole."""
    rows = []
    for group, counts in enumerate(ladder.counts):
        for level in range(1, len(counts)):
            row = ladder.whole
            row[group] = level
            rows.append(row)
    return np.array(rows, np.int64)


def _by_group(ladder: Ladder, ratios: Doubles) -> list[Doubles]:
    """What was measured of `_alone`, divided by groups; level 0 is the whole model."""
    lengths = [len(counts) - 1 for counts in ladder.counts]
    parts = np.split(ratios, np.cumsum(lengths)[:-1])
    return [np.concatenate([[1.0], part]) for part in parts]


def _apart(rows: Sequence[Levels]) -> Levels:
    """The first few that differ from each other."""
    some: list[Levels] = []
    for row in rows:
        if all(int(np.abs(row - other).sum()) >= _APART for other in some):
            some.append(row)
        if len(some) == _MEASURED:
            break
    return np.array(some, np.int64)


def _plain(levels: Levels) -> tuple[int, ...]:
    return tuple(int(level) for level in levels)
