"""The step of a recipe that takes channels out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from converters.dataset import TRAIN
from converters.draft import Draft, Materials
from converters.errors import ConversionError
from converters.graph.build import build_model
from converters.graph.cost import macs, parameters
from converters.graph.node import Graph
from converters.graph.read import read_graph
from converters.graph.unfold import Moments, unfolded
from converters.prune_channels.channels import PRODUCERS, Channels, channels_of
from converters.prune_channels.choose import Target, choose
from converters.prune_channels.cut import without_channels
from converters.prune_channels.gradients import kernel_gradients
from converters.prune_channels.importance import Importance, by_norm, by_taylor
from converters.steps import PruneChannels
from converters.trainable import moments_of, re_estimate, with_model


def prune(draft: Draft, step: PruneChannels, materials: Materials) -> Draft:
    """Take out the channels that matter least, once; a training step has to follow.

    Args:
        draft: A float Keras model, Sequential or Functional.
        step: How many, and how they are judged.
        materials: With the split "train".

    Raises:
        ConversionError: The model cannot be brought to a graph, or none of its channels can go.
    """
    source = materials.source
    graph = read_graph(draft.keras_model, str(source.path))
    channels = channels_of(graph)
    target = Target(step.macs_ratio, step.multiple, step.scope, least=step.multiple)
    removed = choose(graph, channels, _importance(graph, channels, step, materials), target)
    if not removed:
        raise ConversionError(
            f"{source.path}: no channels can be taken out of it to leave {step.macs_ratio:.0%} of "
            f"the MACs in multiples of {step.multiple} channels",
            "give the step a smaller `multiple`, or use a recipe without it",
        )
    pruned = without_channels(graph, channels, removed)
    samples = materials.samples[TRAIN]
    model = build_model(unfolded(pruned, _kept(graph, channels, removed, materials)))
    re_estimate(model, samples, materials.seed)
    return replace(
        with_model(draft, model, materials),
        warnings=draft.warnings + _warnings(graph, pruned, step),
        found={
            "macs": [macs(graph), macs(pruned)],
            "parameters": [parameters(graph), parameters(pruned)],
            "channels": _widths(graph, pruned),
        },
    )


def _importance(
    graph: Graph, channels: Channels, step: PruneChannels, materials: Materials
) -> Importance:
    if step.importance != "taylor":
        return by_norm(graph, channels, {"l1": 1, "l2": 2}[step.importance])
    gradients = kernel_gradients(
        graph,
        materials.samples[TRAIN],
        materials.source.probabilities,
        materials.seed,
        materials.report,
    )
    return by_taylor(graph, channels, gradients)


def _kept(
    graph: Graph, channels: Channels, removed: Collection[int], materials: Materials
) -> dict[str, Moments]:
    """Moments that the channels that stay had before: normalization gives them these again."""
    gone = np.array(sorted(removed), np.int64)
    found = {}
    moments = moments_of(graph, materials.samples[TRAIN], materials)
    for name, (mean, variance) in moments.items():
        stay = ~np.isin(channels.of[name], gone)
        found[name] = (mean[stay], variance[stay])
    return found


def _widths(graph: Graph, pruned: Graph) -> dict[str, list[int]]:
    """Of each layer that became narrower: its channels before and after."""
    after = pruned.by_name()
    return {
        node.name: [node.shape[-1], after[node.name].shape[-1]]
        for node in graph.nodes
        if node.op in PRODUCERS and node.shape != after[node.name].shape
    }


def _warnings(graph: Graph, pruned: Graph, step: PruneChannels) -> tuple[str, ...]:
    ratio = macs(pruned) / macs(graph)
    if abs(ratio - step.macs_ratio) < 0.05:
        return ()
    return (
        f"{ratio:.0%} of the MACs are left, {step.macs_ratio:.0%} were asked for: in multiples of "
        f"{step.multiple} channels, and without the channels that must stay, there is no nearer "
        "choice",
    )
