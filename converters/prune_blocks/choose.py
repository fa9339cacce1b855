"""Which optional parts go: named ones, or those whose absence is measured to harm least."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from converters.errors import ConversionError
from converters.graph.cost import macs
from converters.graph.node import Graph
from converters.prune_blocks.blocks import Block, optional_blocks, without_block

#: No part goes that leaves so much less than was asked for, as a share of the MACs, as long as
#: another one does not.
_TOO_FAR = 0.05


@dataclass(frozen=True)
class Removal:
    """A part that went."""

    block: Block
    """The part."""
    loss: float
    """Of the model without it and without those that went before, in nats."""
    considered: int
    """How many parts could have gone."""


def choose(
    graph: Graph, loss_of: Callable[[Graph], float], macs_ratio: float, count: int
) -> tuple[Graph, tuple[Removal, ...]]:
    """Take out parts until enough are gone, or none is left.

    Args:
        graph: A trained model.
        loss_of: Judges a graph; called once for each part, and again after each removal.
        macs_ratio: Share of the MACs to be left, 0-1; each next part is that with the least loss
            added for the MACs that it saves. 0 if `count` decides.
        count: Parts to remove; each next one is that without which the loss is least.

    Returns:
        What is left, and what went, in order.
    """
    whole, before = macs(graph), loss_of(graph)
    gone: list[Removal] = []
    while len(gone) < count if count else macs(graph) > macs_ratio * whole:
        blocks = optional_blocks(graph)
        if not count:
            least = (macs_ratio - _TOO_FAR) * whole
            fits = tuple(b for b in blocks if macs(graph) - b.macs >= least)
            blocks = fits or (() if gone else blocks)
        if not blocks:
            break
        losses = [loss_of(without_block(graph, block)) for block in blocks]
        prices = [
            loss if count else (loss - before) / block.macs
            for loss, block in zip(losses, blocks, strict=True)
        ]
        best = prices.index(min(prices))
        graph, before = without_block(graph, blocks[best]), losses[best]
        gone.append(Removal(blocks[best], losses[best], len(blocks)))
    return graph, tuple(gone)


def remove_named(
    graph: Graph, loss_of: Callable[[Graph], float], names: Sequence[str], origin: str
) -> tuple[Graph, tuple[Removal, ...]]:
    """Take out parts that somebody chose.

    Args:
        graph: A trained model.
        loss_of: Judges a graph; called once for each part.
        names: Of the parts, in the order in which they go.
        origin: What messages call the model.

    Returns:
        What is left, and what went.

    Raises:
        ConversionError: The model cannot do without one of them; the hint names those that it can.
    """
    gone: list[tuple[Graph, Block, int]] = []
    for name in names:
        blocks = {block.name: block for block in optional_blocks(graph)}
        if name not in blocks:
            without = ", ".join(block.name for _, block, _ in gone)
            raise ConversionError(
                f"{origin}: {name!r} is not a block that it can do without"
                + (f" once {without} went" if without else ""),
                f"name in `remove` one of {', '.join(blocks)}" if blocks else "name fewer blocks",
            )
        graph = without_block(graph, blocks[name])
        gone.append((graph, blocks[name], len(blocks)))
    return graph, tuple(Removal(block, loss_of(left), of) for left, block, of in gone)
