"""The step of a recipe that takes channels out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from converters.dataset import TRAIN
from converters.draft import Draft, Materials
from converters.errors import ConversionError
from converters.graph.cost import macs, parameters
from converters.graph.node import Graph
from converters.graph.read import read_graph
from converters.prune_channels.channels import PRODUCERS, Channels, channels_of
from converters.prune_channels.choose import (
    LATENCY,
    PARAMETERS,
    UNIFORM,
    Choice,
    Target,
    choose,
    lost_by_importance,
)
from converters.prune_channels.cut import Rows, without_channels
from converters.prune_channels.gradients import kernel_gradients
from converters.prune_channels.importance import Importance, by_norm, by_taylor
from converters.prune_channels.ladder import MOST_LEVELS, Bounds, Ladder, Sizes, ladder_of
from converters.prune_channels.reconstruct import reconstructed
from converters.prune_channels.trials import Trials
from converters.steps import PruneChannels
from converters.trainable import trainable_model, with_model

#: Files that are measured with one group alone narrower, at most but for one a group: writing one
#: takes a second or more.
_MOST_FILES = 40


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
    importance = _importance(graph, channels, step, materials)
    ladder, choice, latency_us = _chosen(graph, channels, importance, step, materials)
    removed = ladder.removed(choice.levels)
    if not removed:
        raise ConversionError(
            f"{source.path}: no channels can be taken out of it to leave {step.ratio:.0%} of "
            f"the {step.of} in multiples of {step.multiple} channels",
            "give the step a smaller `multiple`, or use a recipe without it",
        )
    pruned = without_channels(graph, channels, removed)
    samples = materials.samples[TRAIN]
    kept = _kept(channels, removed)
    mended = reconstructed(graph, pruned, kept, samples, materials.seed, materials.report)
    model = trainable_model(mended, samples, materials)
    return replace(
        with_model(draft, model, materials),
        warnings=draft.warnings + _warnings(graph, pruned, step, choice),
        found={
            "macs": [macs(graph), macs(pruned)],
            "parameters": [parameters(graph), parameters(pruned)],
            "channels": _widths(graph, pruned),
            "chosen_by": "macs" if choice.latency is None else "latency",
            "latency_us": latency_us,
            "measured_files": choice.measured,
        },
    )


def _chosen(
    graph: Graph,
    channels: Channels,
    importance: Importance,
    step: PruneChannels,
    materials: Materials,
) -> tuple[Ladder, Choice, list[float]]:
    """The ladder, what was chosen of it, and the latency before and after, if it was measured."""
    measures = materials.latency_us
    most = max(2, 1 + _MOST_FILES // max(1, len(channels.groups))) if measures else MOST_LEVELS
    if step.scope == UNIFORM and step.of != LATENCY:
        most = max(map(len, channels.groups), default=0) + 1
    ladder = ladder_of(channels, importance, Bounds(step.multiple, step.multiple), most)
    if all(len(counts) == 1 for counts in ladder.counts):
        return ladder, Choice((0,) * len(ladder.counts)), []
    sizes, lost = Sizes(graph, channels, ladder), lost_by_importance(ladder, importance)
    target = Target(step.ratio, step.of, step.scope)
    if measures is None:
        return ladder, choose(ladder, sizes, lost, target), []
    with Trials(graph, channels, ladder, materials) as trials:
        choice = choose(
            ladder, sizes, lost, target, lambda levels: trials.measured(levels, measures)
        )
        whole = tuple(map(int, ladder.whole))
        return ladder, choice, [trials.us[whole], trials.us[choice.levels]]


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


def _kept(channels: Channels, removed: Collection[int]) -> dict[str, Rows]:
    """Name of each node to the channels that are left of its output."""
    gone = np.array(sorted(removed), np.int64)
    return {name: np.flatnonzero(~np.isin(of, gone)) for name, of in channels.of.items()}


def _widths(graph: Graph, pruned: Graph) -> dict[str, list[int]]:
    """Of each layer that became narrower: its channels before and after."""
    after = pruned.by_name()
    return {
        node.name: [node.shape[-1], after[node.name].shape[-1]]
        for node in graph.nodes
        if node.op in PRODUCERS and node.shape != after[node.name].shape
    }


def _warnings(graph: Graph, pruned: Graph, step: PruneChannels, choice: Choice) -> tuple[str, ...]:
    if step.of == LATENCY and choice.latency is None:
        return ("nobody measures the latency here: the MACs stand in for it",)
    count = parameters if step.of == PARAMETERS else macs
    ratio = choice.latency if step.of == LATENCY else count(pruned) / count(graph)
    if ratio is None or abs(ratio - step.ratio) < 0.05:
        return ()
    return (
        f"{ratio:.0%} of the {step.of} are left, {step.ratio:.0%} were asked for: in multiples of "
        f"{step.multiple} channels, and without the channels that must stay, there is no nearer "
        "choice",
    )
