"""The choice of layers to replace, and by how cheap a layer each: pure.

Every layer offers cheaper versions of itself. The choice begins with all layers as they are and
takes, again and again, the version that loses the least of its kernel for each MAC that it saves,
until the target is reached. Singular values fall, so the loss for each MAC grows with every
version, and this greedy way ends at the best choice for that sum of losses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Version:
    """A cheaper version of one layer."""

    layer: str
    """Name of the node."""
    rank: int
    """Rank of the version: number of products that its kernel is the sum of."""
    macs: int
    """Number of MACs for one sample."""
    loss: float
    """Share of the kernel's squared norm that the version lacks, 0-1."""


def choose_versions(
    costs: dict[str, int], versions: Iterable[Version], macs_to_save: float
) -> tuple[Version, ...]:
    """Choose a version for each layer that is to be replaced.

    Args:
        costs: Name of each layer that has versions to the number of MACs that it has now.
        versions: Versions of all layers, in any order; those that save nothing are left out.
        macs_to_save: Number of MACs that should go.

    Returns:
        At most one version for each layer, in the order of `costs`. They save as many MACs as are
        asked for, or all that can be saved.
    """
    choice: dict[str, Version] = {}
    useful = [version for version in versions if version.macs < costs[version.layer]]
    saving = 0
    while saving < macs_to_save:
        prices = [
            ((version.loss - _loss(choice, version)) / gain, version)
            for version in useful
            if (gain := _cost(choice, costs, version) - version.macs) > 0
        ]
        if not prices:
            break
        _, cheapest = min(prices, key=lambda price: price[0])
        saving += _cost(choice, costs, cheapest) - cheapest.macs
        choice[cheapest.layer] = cheapest
    return tuple(choice[layer] for layer in costs if layer in choice)


def _cost(choice: dict[str, Version], costs: dict[str, int], version: Version) -> int:
    current = choice.get(version.layer)
    return costs[version.layer] if current is None else current.macs


def _loss(choice: dict[str, Version], version: Version) -> float:
    current = choice.get(version.layer)
    return 0.0 if current is None else current.loss
