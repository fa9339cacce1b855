"""The choice of optional parts to remove: named ones, or those that cost the least loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from converters.errors import ConversionError
from converters.graph.cost import macs
from converters.graph.node import Graph
from converters.prune_blocks.blocks import Block, optional_blocks, without_block

#: Largest share of the MACs by which a removal may miss the target, while another part fits.
_TOO_FAR = 0.05


@dataclass(frozen=True)
class Removal:
    """A part that was removed."""

    block: Block
    """The part."""
    loss: float
    """Loss of the model without this part and without those removed before it, in nats."""
    considered: int
    """Number of parts that could have been removed, this one included."""


def remove_cheapest_blocks(
    graph: Graph, loss_of: Callable[[Graph], float], macs_ratio: float, count: int
) -> tuple[Graph, tuple[Removal, ...]]:
    """Remove parts until the target is reached, or no optional part remains.

    Args:
        graph: Trained model.
        loss_of: Function of a graph to its loss; called for each part, again after each removal.
        macs_ratio: Share of the MACs that should remain, 0-1: the next part is the one with the
            least additional loss for each MAC that it saves. 0 if `count` decides.
        count: Number of parts to remove: the next part is the one without which the loss is least.

    Returns:
        The remaining graph, and the removed parts in order.
    """
    whole, before = macs(graph), loss_of(graph)
    removals: list[Removal] = []
    while len(removals) < count if count else macs(graph) > macs_ratio * whole:
        blocks = optional_blocks(graph)
        if not count:
            least = (macs_ratio - _TOO_FAR) * whole
            fits = tuple(b for b in blocks if macs(graph) - b.macs >= least)
            blocks = fits or (() if removals else blocks)
        if not blocks:
            break
        losses = [loss_of(without_block(graph, block)) for block in blocks]
        prices = [
            loss if count else (loss - before) / block.macs
            for loss, block in zip(losses, blocks, strict=True)
        ]
        best = prices.index(min(prices))
        graph, before = without_block(graph, blocks[best]), losses[best]
        removals.append(Removal(blocks[best], losses[best], len(blocks)))
    return graph, tuple(removals)


def remove_named(
    graph: Graph, loss_of: Callable[[Graph], float], names: Sequence[str], origin: str
) -> tuple[Graph, tuple[Removal, ...]]:
    """Remove the named parts.

    Args:
        graph: Trained model.
        loss_of: Function of a graph to its loss; called once for each part.
        names: Names of the parts, in the order of their removal.
        origin: Name of the model in messages.

    Returns:
        The remaining graph, and the removed parts in order.

    Raises:
        ConversionError: A part is not optional; the hint names those that are.
    """
    removals: list[tuple[Graph, Block, int]] = []
    for name in names:
        blocks = {block.name: block for block in optional_blocks(graph)}
        if name not in blocks:
            without = ", ".join(block.name for _, block, _ in removals)
            raise ConversionError(
                f"{origin}: {name!r} is not a block that it can do without"
                + (f" once {without} went" if without else ""),
                f"Name in `remove` one of {', '.join(blocks)}" if blocks else "Name fewer blocks.",
            )
        graph = without_block(graph, blocks[name])
        removals.append((graph, blocks[name], len(blocks)))
    return graph, tuple(Removal(block, loss_of(rest), count) for rest, block, count in removals)
