"""The widths that each group of channels may have, and the cost of such a model. NumPy only.

A choice is one level for each group: level 0 keeps all channels, each further level keeps fewer.
The costs of many choices are computed at once, because a search examines thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from converters.graph.cost import positions
from converters.graph.node import DEPTHWISE, WEIGHTED, Graph, Node
from converters.prune_channels.channels import Channels
from converters.prune_channels.importance import Importance

#: Shape (choices, groups): a level of each group.
Levels = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

#: Largest number of levels of a group and of all groups together; a group keeps at least
#: `_FEWEST_LEVELS`. Levels between are left out, because a search takes a step for each.
_MOST_LEVELS, _MOST_TOGETHER, _FEWEST_LEVELS = 16, 240, 4


@dataclass(frozen=True)
class Bounds:
    """Limits of the widths of a group."""

    multiple: int = 8
    """Divisor of the number of remaining channels: kernels compute so many at a time."""
    least: int = 8
    """Smallest number of remaining channels."""
    most_of_a_group: float = 0.75
    """Largest share of its channels that a group loses, 0-1."""


@dataclass(frozen=True)
class Ladder:
    """The levels of every group."""

    orders: tuple[tuple[int, ...], ...]
    """Channels of each group, least important first."""
    counts: tuple[tuple[int, ...], ...]
    """Numbers of channels that the levels of each group keep; the first is all of them."""

    def channels_to_remove(self, levels: Sequence[int] | Levels) -> frozenset[int]:
        """Channels that a choice removes.

        Args:
            levels: Level of each group, int64, shape (groups,).
        """
        channel_numbers: set[int] = set()
        for order, counts, level in zip(self.orders, self.counts, levels, strict=True):
            channel_numbers |= set(order[: len(order) - counts[level]])
        return frozenset(channel_numbers)

    @property
    def whole(self) -> Levels:
        """Choice that keeps every channel: level 0 of each group, int64, shape (groups,)."""
        return np.zeros(len(self.orders), np.int64)


def ladder_of(
    channels: Channels, importance: Importance, bounds: Bounds, most: int | None = None
) -> Ladder:
    """Make the levels of the groups of a graph.

    Args:
        channels: Channels of the graph.
        importance: Channel to its importance; the least important are removed first.
        bounds: Limits of the widths of a group.
        most: Largest number of levels of a group; those between are left out evenly. None for as
            many as a search can follow.
    """
    if most is None:
        together = _MOST_TOGETHER // max(1, len(channels.groups))
        most = min(_MOST_LEVELS, max(_FEWEST_LEVELS, together))
    orders = tuple(
        tuple(sorted(group, key=lambda channel: (importance[channel], channel)))
        for group in channels.groups
    )
    return Ladder(orders, tuple(_counts(len(order), bounds, most) for order in orders))


def _counts(size: int, bounds: Bounds, most: int) -> tuple[int, ...]:
    least = max(bounds.least, int(np.ceil(size * (1 - bounds.most_of_a_group))), 1)
    lowest = -(-least // bounds.multiple) * bounds.multiple
    highest = (size - 1) // bounds.multiple * bounds.multiple
    narrower = list(range(highest, lowest - 1, -bounds.multiple))
    if len(narrower) > most - 1:
        inner = most < 4
        places = np.linspace(0, len(narrower) - 1, most + 1 if inner else most - 1)
        positions = np.unique(places.round().astype(int))
        narrower = [narrower[place] for place in (positions[1:-1] if inner else positions)]
    return (size, *narrower)


class Sizes:
    """MACs and parameters of a graph under any choice; exactly those of the graph when cut."""

    def __init__(self, graph: Graph, channels: Channels, ladder: Ladder) -> None:
        self._channels, self._ladder = channels, ladder
        self.nodes = [node for node in graph.nodes if node.op in WEIGHTED]
        by_name = graph.by_name()
        self._kernels = np.array(
            [graph.weights[node.weights]["kernel"].size for node in self.nodes], np.float64
        )
        self._positions = np.array([positions(node, by_name) for node in self.nodes], np.float64)
        # A kernel of groups stays as it is; that of a depthwise convolution has one axis of them.
        fixed = [node.attributes.get("groups", 1) > 1 for node in self.nodes]
        single = [node.op == DEPTHWISE for node in self.nodes]
        self._takes = np.array([not f and not s for f, s in zip(fixed, single, strict=True)])
        self._gives = np.array([not f for f in fixed])
        first = {key: nodes[0] for key, nodes in graph.uses().items()}
        self._owned = np.array([first[node.weights] is node for node in self.nodes], np.float64)
        self._others = [
            (node, graph.weights[key]["alpha"].size)
            for key, node in first.items()
            if "alpha" in graph.weights[key]
        ]

    def shares(self, levels: Levels, nodes: Sequence[Node], inputs: bool) -> Doubles:
        """Share of channels that are left at the input or output of nodes: (choices, nodes)."""
        columns = [self._share(levels, node.inputs[0] if inputs else node.name) for node in nodes]
        return np.stack(columns, axis=1) if columns else np.zeros((len(levels), 0))

    def node_shares(self, levels: Levels) -> Doubles:
        """Share of its MACs that each weighted node still has: (choices, nodes)."""
        input_shares = np.where(self._takes, self.shares(levels, self.nodes, inputs=True), 1.0)
        output_shares = np.where(self._gives, self.shares(levels, self.nodes, inputs=False), 1.0)
        shares: Doubles = input_shares * output_shares
        return shares

    def macs(self, levels: Levels) -> Doubles:
        """MACs of each choice: levels (choices, groups) to float64, shape (choices,)."""
        result: Doubles = self.node_shares(levels) @ self.macs_by_node
        return result

    def parameters(self, levels: Levels) -> Doubles:
        """Number of parameters of each choice: levels (choices, groups) to float64, (choices,)."""
        kernels = self.node_shares(levels) @ (self._kernels * self._owned)
        widths = np.array([node.shape[-1] for node in self.nodes]) * self._owned
        biases = self.shares(levels, self.nodes, inputs=False) @ widths
        alphas = self.shares(levels, [node for node, _ in self._others], inputs=False) @ np.array(
            [size for _, size in self._others], np.float64
        )
        result: Doubles = kernels + biases + alphas
        return result

    def group_shares(self) -> Doubles:
        """Share of the channels of a node's input or output that each group has, 0-1.

        Returns:
            The larger of both shares, float64, shape (nodes, groups).
        """
        shares = np.zeros((len(self.nodes), len(self._ladder.orders)))
        for row, node in enumerate(self.nodes):
            for name in (node.inputs[0], node.name):
                of = self._channels.of[name]
                for group, order in enumerate(self._ladder.orders):
                    share = float(np.isin(of, order).mean())
                    shares[row, group] = max(shares[row, group], share)
        return shares

    @property
    def macs_by_node(self) -> Doubles:
        """MACs of each weighted node with all its channels, float64, shape (nodes,)."""
        macs: Doubles = self._kernels * self._positions
        return macs

    def _share(self, levels: Levels, name: str) -> Doubles:
        of = self._channels.of[name]
        remaining = np.full(len(levels), float(len(of)))
        for group, table in self._losses(name).items():
            remaining -= table[levels[:, group]]
        return remaining / len(of)

    def _losses(self, name: str) -> dict[int, Doubles]:
        """Number of channels that a tensor loses at each level of a group, by group."""
        if not hasattr(self, "_tables"):
            self._tables: dict[str, dict[int, Doubles]] = {}
        if name not in self._tables:
            of = self._channels.of[name]
            tables = {}
            for number, (order, counts) in enumerate(
                zip(self._ladder.orders, self._ladder.counts, strict=True)
            ):
                if np.isin(order, of).any():
                    times = np.array([(of == channel).sum() for channel in order])
                    before = np.concatenate([[0.0], np.cumsum(times)])
                    tables[number] = before[[len(order) - count for count in counts]]
            self._tables[name] = tables
        return self._tables[name]
