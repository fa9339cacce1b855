"""Channels that can only be removed together. NumPy only.

Every tensor has a vector of symbols, one for each number on its last axis. A convolution or Dense
makes new symbols; an op that works channel by channel passes on the symbols of its input; an
addition makes the symbols of both inputs equal (union-find); a concatenation joins the vectors;
Flatten repeats them, the channel running fastest (NHWC). Symbols that are equal in the end are one
channel: it is removed from all tensors that have it or from none (as in DepGraph, Fang et al.,
2023, and NNCF's propagation of masks).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

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
    RECURRENT,
    Graph,
    Node,
)

Symbols = npt.NDArray[np.int64]

#: Ops that make new channels.
PRODUCERS = (CONV, CONV_TRANSPOSE, DENSE)


@dataclass(frozen=True)
class Channels:
    """The channels of a graph."""

    of: Mapping[str, Symbols]
    """Name of each node to the channel that each number on the last axis of its output belongs to.
    """
    groups: tuple[tuple[int, ...], ...]
    """Channels that may be removed. Those of a group are made by the same layers: the number of its
    remaining channels is the width of these layers."""


def channels_of(graph: Graph) -> Channels:
    """Find the channels of a graph, and those that may be removed.

    Channels of an input or output of the model always stay, and so do the channels of an op that
    works only with all of them.
    """
    table = _SymbolTable(graph)
    for node in graph.nodes:
        table.symbols[node.name] = _RULES.get(node.op, _keep)(table, node)
    for name in graph.outputs:
        table.freeze(table.symbols[name])
    table.tie_shared()
    of = {name: table.roots(symbols) for name, symbols in table.symbols.items()}
    return Channels(of, _groups(graph, of, set(table.roots(np.array(table.frozen, np.int64)))))


def _groups(
    graph: Graph, of: Mapping[str, Symbols], frozen: set[int]
) -> tuple[tuple[int, ...], ...]:
    """Groups of channels that some layers make together, without groups that have a frozen one."""
    group_of: dict[int, set[int]] = {}
    for node in graph.nodes:
        if node.op in PRODUCERS:
            members = {int(channel) for channel in of[node.name]}
            for channel in list(members):
                members |= group_of.get(channel, set())
            group_of |= dict.fromkeys(members, members)
    groups = {id(group): tuple(sorted(group)) for group in group_of.values()}
    return tuple(sorted(group for group in groups.values() if not frozen & set(group)))


class _SymbolTable:
    """Symbols of the nodes so far, and their equality."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.symbols: dict[str, Symbols] = {}
        self.frozen: list[int] = []
        self._parents: list[int] = []

    def new(self, count: int) -> Symbols:
        """Make symbols that are equal to no others, int64, shape (count,)."""
        first = len(self._parents)
        self._parents += range(first, first + count)
        return np.arange(first, first + count)

    def roots(self, symbols: Symbols) -> Symbols:
        """Representative of each symbol among all that are equal to it."""
        return np.array([self._root(int(symbol)) for symbol in symbols], np.int64)

    def tie(self, first: Symbols, second: Symbols) -> None:
        """Make two vectors equal, one by one."""
        for left_symbol, right_symbol in zip(first, second, strict=True):
            self._parents[self._root(int(left_symbol))] = self._root(int(right_symbol))

    def freeze(self, symbols: Symbols) -> None:
        """Keep the channels of these symbols from being removed."""
        self.frozen += [int(symbol) for symbol in symbols]

    def input_symbols(self, node: Node) -> Symbols:
        """Symbols of the first input of a node."""
        return self.symbols[node.inputs[0]]

    def tie_shared(self) -> None:
        """Make the channels of all uses of a layer equal, because they have one set of weights."""
        for first, *others in self.graph.uses().values():
            for other in others:
                self.tie(self.input_symbols(first), self.input_symbols(other))
                self.tie(self.symbols[first.name], self.symbols[other.name])

    def _root(self, symbol: int) -> int:
        while self._parents[symbol] != symbol:
            self._parents[symbol] = self._parents[self._parents[symbol]]
            symbol = self._parents[symbol]
        return symbol


def _keep(table: _SymbolTable, node: Node) -> Symbols:
    """Keep all channels of the inputs and the output of a node, such as one of an unknown op."""
    for name in node.inputs:
        table.freeze(table.symbols[name])
    outputs = table.new(node.shape[-1])
    table.freeze(outputs)
    return outputs


def _produce(table: _SymbolTable, node: Node) -> Symbols:
    return _keep(table, node) if node.attributes.get("groups", 1) > 1 else table.new(node.shape[-1])


def _pass_on(table: _SymbolTable, node: Node) -> Symbols:
    return table.input_symbols(node)


def _depthwise(table: _SymbolTable, node: Node) -> Symbols:
    multiplier = table.graph.weights[node.weights]["kernel"].shape[-1]
    repeated: Symbols = np.repeat(table.input_symbols(node), multiplier)
    return repeated


def _recur(table: _SymbolTable, node: Node) -> Symbols:
    # The states stay; fewer channels of the sequence are fewer rows of the kernel.
    states = table.new(node.shape[-1])
    table.freeze(states)
    return states


def _activation(table: _SymbolTable, node: Node) -> Symbols:
    # A softmax computes with all channels at once.
    is_softmax = node.attributes["function"] in ("softmax", "log_softmax")
    return (_keep if is_softmax else _pass_on)(table, node)


def _tie_inputs(table: _SymbolTable, node: Node) -> Symbols:
    widest = max((table.symbols[name] for name in node.inputs), key=len)
    for name in node.inputs:
        symbols = table.symbols[name]
        if len(symbols) == len(widest):
            table.tie(symbols, widest)
        else:  # A single channel is broadcast to all of them.
            table.freeze(symbols)
    return widest


def _concat(table: _SymbolTable, node: Node) -> Symbols:
    if node.attributes["axis"] != len(node.shape):
        return _tie_inputs(table, node)
    return np.concatenate([table.symbols[name] for name in node.inputs])


def _flatten(table: _SymbolTable, node: Node) -> Symbols:
    symbols = table.input_symbols(node)
    return np.tile(symbols, node.shape[-1] // len(symbols))


def _reshape(table: _SymbolTable, node: Node) -> Symbols:
    symbols = table.input_symbols(node)
    if node.shape[-1] == len(symbols):
        return symbols
    source = table.graph.by_name()[node.inputs[0]].shape
    # Axes that are joined with the last one repeat the channels, as in Flatten.
    joins_last = any(prod(source[axis:]) == node.shape[-1] for axis in range(len(source)))
    return _flatten(table, node) if joins_last else _keep(table, node)


def _permute(table: _SymbolTable, node: Node) -> Symbols:
    last_stays = node.attributes["dims"][-1] == len(node.shape)
    return (_pass_on if last_stays else _keep)(table, node)


def _slice(table: _SymbolTable, node: Node) -> Symbols:
    slices = node.attributes["slices"]
    if len(slices) <= len(node.shape):
        return table.input_symbols(node)
    start, stop, step = slices[-1]
    return table.input_symbols(node)[start:stop] if step in (None, 1) else _keep(table, node)


#: Ops that work on each channel alone.
_CHANNELWISE = (
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

#: Names of ops to the rules for their symbols. Any other op keeps all channels of its inputs.
_RULES: dict[str, Callable[[_SymbolTable, Node], Symbols]] = {
    INPUT: _keep,
    **dict.fromkeys(PRODUCERS, _produce),
    DEPTHWISE: _depthwise,
    **dict.fromkeys(RECURRENT, _recur),
    ACTIVATION: _activation,
    **dict.fromkeys(_CHANNELWISE, _pass_on),
    **dict.fromkeys(ELEMENTWISE, _tie_inputs),
    CONCAT: _concat,
    "flatten": _flatten,
    "reshape": _reshape,
    "permute": _permute,
    "slice": _slice,
}
