"""Which channels must go together. NumPy only.

Every tensor has a vector of symbols, one for each number on its last axis. A convolution or Dense
makes new symbols; what goes through channel by channel hands its symbols on; an addition makes the
symbols of both sides equal (union-find); a concatenation joins the vectors; Flatten repeats them,
the channel running fastest (NHWC). What is equal in the end is one channel, in whatever tensors it
stands, and is removed from all of them or from none (as in DepGraph, Fang et al., 2023, and NNCF's
propagation of masks).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from converters.graph.node import (
    ACTIVATION,
    CONCAT,
    CONV,
    CONV_TRANSPOSE,
    DENSE,
    DEPTHWISE,
    ELEMENTWISE,
    INPUT,
    Graph,
    Node,
)

Symbols = npt.NDArray[np.int64]

#: Make channels of their own.
PRODUCERS = (CONV, CONV_TRANSPOSE, DENSE)


@dataclass(frozen=True)
class Channels:
    """The channels of a graph."""

    of: Mapping[str, Symbols]
    """Name of each node to the channel that each number on the last axis of its output belongs to.
    """
    groups: tuple[tuple[int, ...], ...]
    """Channels that may be removed; those of a group are of the same layers, so that how many are
    left of it is how wide these layers are."""


def channels_of(graph: Graph) -> Channels:
    """Find the channels of a graph, and which may be removed.

    Never those of an input or output of the model, nor those that some op needs all of.
    """
    walk = _Walk(graph)
    for node in graph.nodes:
        walk.symbols[node.name] = _RULES.get(node.op, _keep)(walk, node)
    for name in graph.outputs:
        walk.freeze(walk.symbols[name])
    walk.tie_shared()
    of = {name: walk.roots(symbols) for name, symbols in walk.symbols.items()}
    return Channels(of, _groups(graph, of, set(walk.roots(np.array(walk.frozen, np.int64)))))


def _groups(
    graph: Graph, of: Mapping[str, Symbols], frozen: set[int]
) -> tuple[tuple[int, ...], ...]:
    """Channels that some layers make together; none of those with a frozen one among them."""
    group_of: dict[int, set[int]] = {}
    for node in graph.nodes:
        if node.op in PRODUCERS:
            made = {int(channel) for channel in of[node.name]}
            for channel in list(made):
                made |= group_of.get(channel, set())
            group_of |= dict.fromkeys(made, made)
    groups = {id(group): tuple(sorted(group)) for group in group_of.values()}
    return tuple(sorted(group for group in groups.values() if not frozen & set(group)))


class _Walk:
    """Symbols so far, and which of them are equal."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.symbols: dict[str, Symbols] = {}
        self.frozen: list[int] = []
        self._parents: list[int] = []

    def new(self, count: int) -> Symbols:
        """Symbols that nobody has yet."""
        first = len(self._parents)
        self._parents += range(first, first + count)
        return np.arange(first, first + count)

    def roots(self, symbols: Symbols) -> Symbols:
        """What stands for each symbol among all that are equal to it."""
        return np.array([self._root(int(symbol)) for symbol in symbols], np.int64)

    def tie(self, first: Symbols, second: Symbols) -> None:
        """Make two vectors equal, one by one."""
        for one, other in zip(first, second, strict=True):
            self._parents[self._root(int(one))] = self._root(int(other))

    def freeze(self, symbols: Symbols) -> None:
        """Keep these for good."""
        self.frozen += [int(symbol) for symbol in symbols]

    def taken(self, node: Node) -> Symbols:
        """Of the first input of a node."""
        return self.symbols[node.inputs[0]]

    def tie_shared(self) -> None:
        """A layer that is used twice has one set of weights: its uses lose the same channels."""
        for first, *others in self.graph.uses().values():
            for other in others:
                self.tie(self.taken(first), self.taken(other))
                self.tie(self.symbols[first.name], self.symbols[other.name])

    def _root(self, symbol: int) -> int:
        while self._parents[symbol] != symbol:
            self._parents[symbol] = self._parents[self._parents[symbol]]
            symbol = self._parents[symbol]
        return symbol


def _keep(walk: _Walk, node: Node) -> Symbols:
    """What nothing is known of: keep all that it takes and gives."""
    for name in node.inputs:
        walk.freeze(walk.symbols[name])
    made = walk.new(node.shape[-1])
    walk.freeze(made)
    return made


def _produce(walk: _Walk, node: Node) -> Symbols:
    return _keep(walk, node) if node.attributes.get("groups", 1) > 1 else walk.new(node.shape[-1])


def _hand_on(walk: _Walk, node: Node) -> Symbols:
    return walk.taken(node)


def _depthwise(walk: _Walk, node: Node) -> Symbols:
    multiplier = walk.graph.weights[node.weights]["kernel"].shape[-1]
    repeated: Symbols = np.repeat(walk.taken(node), multiplier)
    return repeated


def _activation(walk: _Walk, node: Node) -> Symbols:
    # A softmax sees all channels at once.
    return (_keep if node.attributes["function"] == "softmax" else _hand_on)(walk, node)


def _tie_inputs(walk: _Walk, node: Node) -> Symbols:
    widest = max((walk.symbols[name] for name in node.inputs), key=len)
    for name in node.inputs:
        symbols = walk.symbols[name]
        if len(symbols) == len(widest):
            walk.tie(symbols, widest)
        else:  # a single channel for all of them
            walk.freeze(symbols)
    return widest


def _concat(walk: _Walk, node: Node) -> Symbols:
    if node.attributes["axis"] != len(node.shape):
        return _tie_inputs(walk, node)
    return np.concatenate([walk.symbols[name] for name in node.inputs])


def _flatten(walk: _Walk, node: Node) -> Symbols:
    taken = walk.taken(node)
    return np.tile(taken, node.shape[-1] // len(taken))


def _reshape(walk: _Walk, node: Node) -> Symbols:
    taken = walk.taken(node)
    if node.shape[-1] == len(taken):
        return taken
    return _flatten(walk, node) if len(node.shape) == 1 else _keep(walk, node)


def _permute(walk: _Walk, node: Node) -> Symbols:
    last_stays = node.attributes["dims"][-1] == len(node.shape)
    return (_hand_on if last_stays else _keep)(walk, node)


def _slice(walk: _Walk, node: Node) -> Symbols:
    slices = node.attributes["slices"]
    if len(slices) <= len(node.shape):
        return walk.taken(node)
    start, stop, step = slices[-1]
    return walk.taken(node)[start:stop] if step in (None, 1) else _keep(walk, node)


_THROUGH = (
    "prelu",
    "max_pool",
    "average_pool",
    "global_average_pool",
    "global_max_pool",
    "zero_pad",
    "crop",
    "upsample",
    "resize",
)

#: Op to what it does to symbols; any other keeps all channels that it touches.
_RULES: dict[str, Callable[[_Walk, Node], Symbols]] = {
    INPUT: _keep,
    **dict.fromkeys(PRODUCERS, _produce),
    DEPTHWISE: _depthwise,
    ACTIVATION: _activation,
    **dict.fromkeys(_THROUGH, _hand_on),
    **dict.fromkeys(ELEMENTWISE, _tie_inputs),
    CONCAT: _concat,
    "flatten": _flatten,
    "reshape": _reshape,
    "permute": _permute,
    "slice": _slice,
}
