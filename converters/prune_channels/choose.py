"""Which channels go, so that a share of the MACs is left. NumPy only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from converters.graph.cost import macs, positions
from converters.graph.node import DEPTHWISE, WEIGHTED, Graph
from converters.prune_channels.channels import Channels
from converters.prune_channels.importance import Importance

UNIFORM = "uniform"
GLOBAL = "global"


@dataclass(frozen=True)
class Target:
    """What is aimed at.

    Attributes:
        macs_ratio: Share of the MACs that is to be left, 0-1.
        multiple: The channels that are left of a group are a multiple of this: kernels compute so
            many at a time.
        scope: `UNIFORM` takes the same share of every group, `GLOBAL` takes first where the MACs
            cost the least importance.
        least: Fewer channels than this are left of no group.
        most_of_a_group: No group loses a larger share of its channels, 0-1.
    """

    macs_ratio: float
    multiple: int = 8
    scope: str = GLOBAL
    least: int = 8
    most_of_a_group: float = 0.75


def choose(
    graph: Graph, channels: Channels, importance: Importance, target: Target
) -> frozenset[int]:
    """Channels to remove: the least important of each group, as many as the target asks for.

    Returns:
        What brings the MACs nearest to the target; the multiples leave no finer choice.
    """
    aim = target.macs_ratio * macs(graph)
    if target.scope == UNIFORM:
        choices = _uniform(channels, importance, target)
    else:
        choices = _global(graph, channels, importance, target, aim)
    return min(choices, key=lambda removed: abs(macs_without(graph, channels, removed) - aim))


def macs_without(graph: Graph, channels: Channels, removed: Collection[int]) -> int:
    """MACs that would be left; the same as `macs` of the graph without these channels."""
    gone = np.array(sorted(removed), np.int64)
    left = {name: int((~np.isin(of, gone)).sum()) for name, of in channels.of.items()}
    nodes = graph.by_name()
    total = 0
    for node in graph.nodes:
        if node.op not in WEIGHTED:
            continue
        kernel = graph.weights[node.weights]["kernel"]
        taken, given = left[node.inputs[0]], left[node.name]
        whole = len(channels.of[node.name])
        if node.op == DEPTHWISE:
            size = kernel.size // whole * given
        else:
            size = kernel.size // (whole * len(channels.of[node.inputs[0]])) * taken * given
            if node.attributes.get("groups", 1) > 1:
                size = kernel.size
        total += positions(node, nodes) * size
    return total


def _ordered(group: tuple[int, ...], importance: Importance) -> list[int]:
    """The least important first."""
    return sorted(group, key=lambda channel: (importance[channel], channel))


def _fewest(size: int, target: Target) -> int:
    """How many channels must stay of a group of this size."""
    least = max(target.least, int(np.ceil(size * (1 - target.most_of_a_group))), 1)
    return min(size, -(-least // target.multiple) * target.multiple)


def _uniform(channels: Channels, importance: Importance, target: Target) -> list[frozenset[int]]:
    """One choice for each share that may stay."""
    ordered = [_ordered(group, importance) for group in channels.groups]
    choices = []
    for share in np.linspace(1.0, 0.0, 201):
        removed: set[int] = set()
        for group in ordered:
            kept = round(len(group) * share / target.multiple) * target.multiple
            kept = min(len(group), max(kept, _fewest(len(group), target)))
            removed |= set(group[: len(group) - kept])
        choices.append(frozenset(removed))
    return list(dict.fromkeys(choices))


def _global(
    graph: Graph, channels: Channels, importance: Importance, target: Target, aim: float
) -> list[frozenset[int]]:
    """The choices before and after the MACs fall below the aim, one portion after another."""
    ordered = [_ordered(group, importance) for group in channels.groups]
    removed: frozenset[int] = frozenset()
    choices = [removed]
    now = macs_without(graph, channels, removed)
    while now > aim:
        best: tuple[float, frozenset[int], int] | None = None
        for group in ordered:
            portion = _portion(group, removed, target)
            if not portion:
                continue
            after = macs_without(graph, channels, removed | portion)
            price = sum(importance[channel] for channel in portion) / max(1, now - after)
            if best is None or price < best[0]:
                best = (price, removed | portion, after)
        if best is None:
            break
        _, removed, now = best
        choices.append(removed)
    return choices[-2:]


def _portion(group: list[int], removed: frozenset[int], target: Target) -> frozenset[int]:
    """What goes next of a group: down to the next multiple, or nothing if too few would stay."""
    left = [channel for channel in group if channel not in removed]
    kept = (len(left) - 1) // target.multiple * target.multiple
    if kept < _fewest(len(group), target):
        return frozenset()
    return frozenset(left[: len(left) - kept])
