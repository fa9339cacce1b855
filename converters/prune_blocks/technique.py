"""The step of a recipe that removes whole blocks and layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from converters.data.dataset import TRAIN
from converters.draft.draft import Draft, Materials
from converters.draft.trial_file import measure_before_and_after
from converters.errors import ConversionError
from converters.graph.cost import macs, parameters
from converters.graph.node import Graph
from converters.progress import Progress
from converters.prune_blocks.blocks import optional_blocks
from converters.prune_blocks.choose import Removal, remove_cheapest_blocks, remove_named
from converters.prune_channels.reconstruct import reconstruct_layers
from converters.recipe.shape_steps import PruneBlocks
from converters.training.effect import graph_loss, judged_samples
from converters.training.trainable import folded_graph, trainable_graph


def prune_blocks(draft: Draft, step: PruneBlocks, materials: Materials) -> Draft:
    """Remove the least important blocks, by measurement; a training step has to follow.

    Args:
        draft: A draft that is not quantized.
        step: Number of blocks, target or names of blocks.
        materials: Samples with the split "train"; those of "validation" judge, if there are any.

    Raises:
        ConversionError: The model cannot be brought to a graph, has too few optional blocks, or
            no optional block of a name in the step.
    """
    source = materials.source
    graph = folded_graph(draft)
    _refuse_none(graph, step, str(source.path))
    judge = _Judge(graph, materials)
    if step.remove:
        pruned_graph, removals = remove_named(graph, judge, step.remove, str(source.path))
    else:
        pruned_graph, removals = remove_cheapest_blocks(graph, judge, step.macs_ratio, step.count)
    if len(removals) < step.count:
        raise ConversionError(
            f"{source.path}: after {len(removals)} blocks none is left that it can do without, "
            f"{step.count} were asked for",
            f"Write `count = {len(removals)}`",
        )
    reconstruction = _reconstruct(graph, pruned_graph, materials)
    return replace(
        draft,
        graph=trainable_graph(reconstruction, materials.samples[TRAIN], materials),
        warnings=draft.warnings + _warnings(graph, pruned_graph, step),
        found={
            "macs": [macs(graph), macs(pruned_graph)],
            "parameters": [parameters(graph), parameters(pruned_graph)],
            "latency_us": measure_before_and_after(graph, pruned_graph, materials),
            "loss_before": round(judge(graph), 5),
            "removed": [_plain(removal) for removal in removals],
        },
    )


def _refuse_none(graph: Graph, step: PruneBlocks, origin: str) -> None:
    if optional_blocks(graph):
        return
    raise ConversionError(
        f"{origin}: has no block that it can do without: no addition to a shortcut, and no layer "
        "that gives the shape that it takes",
        f"Use the step `channels` in place of `{step.kind}`: it makes layers narrower.",
    )


def _reconstruct(graph: Graph, pruned_graph: Graph, materials: Materials) -> Graph:
    """Correct the weights of the remaining layers, so that they make up for the removed ones."""
    channels = {node.name: np.arange(node.shape[-1]) for node in graph.nodes}
    samples = materials.samples[TRAIN]
    return reconstruct_layers(
        graph, pruned_graph, channels, samples, materials.seed, materials.report
    )


class _Judge:
    """Loss of graphs on fixed samples; each graph is reconstructed first.

    Without this, the answers of a residual network are wrong whichever block is removed, and all
    blocks seem equally important.
    """

    def __init__(self, whole: Graph, materials: Materials) -> None:
        self._whole, self._materials = whole, materials
        self._samples, self._done = judged_samples(materials), 0

    def __call__(self, graph: Graph) -> float:
        self._done += 1
        self._materials.report(Progress("leave out blocks", self._done, 0))
        reconstruction = _reconstruct(self._whole, graph, self._materials)
        return graph_loss(reconstruction, self._samples, self._materials.source.probabilities)


def _plain(removal: Removal) -> dict[str, object]:
    block = removal.block
    return {
        "block": block.name,
        "layers": list(block.nodes),
        "macs": block.macs,
        "loss": round(removal.loss, 5),
        "considered": removal.considered,
    }


def _warnings(graph: Graph, pruned_graph: Graph, step: PruneBlocks) -> tuple[str, ...]:
    ratio = macs(pruned_graph) / macs(graph)
    if not step.macs_ratio or abs(ratio - step.macs_ratio) < 0.05:
        return ()
    return (
        f"{ratio:.0%} of the MACs are left, {step.macs_ratio:.0%} were asked for: there are no "
        "blocks that lead nearer",
    )
