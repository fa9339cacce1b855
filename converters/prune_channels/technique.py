"""The step of a recipe that removes channels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from converters.data.dataset import TRAIN
from converters.draft.draft import Draft, Materials
from converters.errors import ConversionError
from converters.graph.cost import macs, parameters
from converters.graph.node import Graph
from converters.progress import Progress
from converters.prune_channels.channels import PRODUCERS, Channels, channels_of
from converters.prune_channels.choose import (
    GLOBAL,
    LATENCY,
    PARAMETERS,
    UNIFORM,
    WidthTarget,
    choose_widths,
    importance_losses,
)
from converters.prune_channels.cut import Rows, without_channels
from converters.prune_channels.gradients import kernel_gradients
from converters.prune_channels.importance import Importance, by_norm, by_taylor
from converters.prune_channels.ladder import (
    Bounds,
    Doubles,
    Ladder,
    Sizes,
    ladder_of,
)
from converters.prune_channels.reconstruct import reconstruct_layers
from converters.prune_channels.sensitivity import measure_losses
from converters.prune_channels.trials import Trials
from converters.recipe.shape_steps import PruneChannels
from converters.recipe.training_steps import Distill
from converters.training.distill import distill
from converters.training.trainable import folded_graph, trainable_graph

#: Scope in which measured losses decide instead of importance.
SENSITIVITY = "sensitivity"
#: Largest number of levels of all groups together, but at least one for each group, where a level
#: takes a second or more: a file is written and measured, or samples are evaluated.
_MOST_TRIALS = 40
#: Settings of the training between two rounds, in which the original is the teacher.
_BETWEEN = Distill(epochs=1, learning_rate=1e-3)


@dataclass(frozen=True)
class _Cut:
    """One removal."""

    graph: Graph
    """Remaining graph, reconstructed."""
    share: float
    """Remaining share of the targeted cost of the graph before, 0-1."""
    latency_us: tuple[float, ...] = ()
    """Latency before and after, microseconds; empty where nothing is measured."""
    trial_count: int = 0
    """Number of files that were measured."""
    losses: tuple[dict[str, Any], ...] = ()
    """Additional loss of the levels of each group, if it was measured."""


def prune_channels(draft: Draft, step: PruneChannels, materials: Materials) -> Draft:
    """Remove the least important channels; a training step has to follow.

    Args:
        draft: A draft that is not quantized.
        step: Target, number of rounds, and measure of importance.
        materials: Samples with the split "train".

    Raises:
        ConversionError: The model cannot be brought to a graph, or none of its channels can
            be removed.
    """
    origin = str(materials.source.path)
    whole = folded_graph(draft)
    cuts: list[_Cut] = []
    share = 1.0
    for number in range(1, step.rounds + 1):
        graph = whole
        if cuts:
            graph = _train_between_rounds(draft, cuts[-1].graph, materials)
        # Each round leaves the same share of the result of the round before.
        cut = _cut(graph, step.ratio ** (number / step.rounds) / share, step, materials)
        if cut is not None:
            cuts.append(cut)
            share *= cut.share
    if not cuts:
        raise ConversionError(
            f"{origin}: no channels can be taken out of it to leave {step.ratio:.0%} of "
            f"the {step.of} in multiples of {step.multiple} channels",
            "Give the step a smaller `multiple`, or use a recipe without it.",
        )
    return replace(
        draft,
        graph=trainable_graph(cuts[-1].graph, materials.samples[TRAIN], materials),
        warnings=draft.warnings + _warnings(step, share, materials),
        found=_describe_cuts(whole, cuts),
    )


def _describe_cuts(whole: Graph, cuts: Sequence[_Cut]) -> dict[str, Any]:
    first, last = cuts[0], cuts[-1]
    return {
        "macs": [macs(whole), *(macs(cut.graph) for cut in cuts)],
        "parameters": [parameters(whole), *(parameters(cut.graph) for cut in cuts)],
        "channels": _widths(whole, last.graph),
        "chosen_by": "latency" if first.latency_us else "macs",
        "latency_us": [*first.latency_us[:1], *last.latency_us[1:]],
        "measured_files": sum(cut.trial_count for cut in cuts),
        "losses": list(last.losses),
    }


def _train_between_rounds(draft: Draft, graph: Graph, materials: Materials) -> Graph:
    """Train a pruned graph for a short time."""
    student = trainable_graph(graph, materials.samples[TRAIN], materials)
    # This training must not use the checkpoint of the step.
    without_checkpoint = replace(materials, checkpoint=None, logs=None)
    return folded_graph(distill(replace(draft, graph=student), _BETWEEN, without_checkpoint))


def _cut(graph: Graph, ratio: float, step: PruneChannels, materials: Materials) -> _Cut | None:
    """Remove channels once; None if none can be removed."""
    channels = channels_of(graph)
    importance = _importance(graph, channels, step, materials)
    bounds = Bounds(step.multiple, step.multiple)
    ladder = ladder_of(channels, importance, bounds, _most_levels(channels, step, materials))
    if ratio >= 1 or all(len(counts) == 1 for counts in ladder.counts):
        return None
    losses = importance_losses(ladder, importance)
    curves: tuple[dict[str, Any], ...] = ()
    if step.scope == SENSITIVITY:
        losses = measure_losses(graph, channels, ladder, materials)
        curves = _curves(graph, channels, ladder, losses)
    sizes, measure = Sizes(graph, channels, ladder), materials.measure
    target = WidthTarget(ratio, step.of, UNIFORM if step.scope == UNIFORM else GLOBAL)
    with Trials(graph, channels, ladder, materials) as trials:
        materials.report(Progress("choose widths", 0, 0))
        by_files = None if measure is None else lambda rows: trials.measure_choices(rows, measure)
        choice = choose_widths(ladder, sizes, losses, target, by_files)
        whole = tuple(map(int, ladder.whole))
        latencies = trials.latency_us
        latency_us = tuple(latencies[row] for row in (whole, choice.levels) if latencies)
    if choice.levels == whole:
        return None
    channel_numbers = ladder.channels_to_remove(choice.levels)
    pruned_graph = reconstruct_layers(
        graph,
        without_channels(graph, channels, channel_numbers),
        _remaining_channels(channels, channel_numbers),
        materials.samples[TRAIN],
        materials.seed,
        materials.report,
    )
    count = parameters if step.of == PARAMETERS else macs
    share = count(pruned_graph) / count(graph)
    if step.of == LATENCY and choice.latency is not None:
        share = choice.latency
    return _Cut(pruned_graph, share, latency_us, choice.trial_count, curves)


def _most_levels(channels: Channels, step: PruneChannels, materials: Materials) -> int | None:
    """Largest number of levels of a group; None where nothing but the search takes time."""
    groups = max(1, len(channels.groups))
    if step.scope == SENSITIVITY or materials.measure and step.scope != UNIFORM:
        return max(2, 1 + _MOST_TRIALS // groups)
    if step.scope == UNIFORM and step.of != LATENCY:
        return max(map(len, channels.groups), default=0) + 1
    return None


def _curves(
    graph: Graph, channels: Channels, ladder: Ladder, losses: Sequence[Doubles]
) -> tuple[dict[str, Any], ...]:
    """Additional loss of each level of each group, as plain data for conversion.json."""
    return tuple(
        {
            "layers": [
                node.name
                for node in graph.nodes
                if node.op in PRODUCERS and np.isin(channels.of[node.name], order).any()
            ],
            "channels": list(counts),
            "loss_added": [round(float(loss), 5) for loss in of_group],
        }
        for order, counts, of_group in zip(ladder.orders, ladder.counts, losses, strict=True)
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


def _remaining_channels(channels: Channels, channel_numbers: Collection[int]) -> dict[str, Rows]:
    """Name of each node to the remaining channels of its output, without `channel_numbers`."""
    numbers = np.array(sorted(channel_numbers), np.int64)
    return {name: np.flatnonzero(~np.isin(of, numbers)) for name, of in channels.of.items()}


def _widths(graph: Graph, pruned_graph: Graph) -> dict[str, list[int]]:
    """Name of each narrower layer to its number of channels before and after."""
    after = pruned_graph.by_name()
    return {
        node.name: [node.shape[-1], after[node.name].shape[-1]]
        for node in graph.nodes
        if node.op in PRODUCERS and node.shape != after[node.name].shape
    }


def _warnings(step: PruneChannels, share: float, materials: Materials) -> tuple[str, ...]:
    if step.of == LATENCY and materials.measure is None:
        return ("no latency is measured here: the MACs are used instead",)
    if abs(share - step.ratio) < 0.05:
        return ()
    return (
        f"{share:.0%} of the {step.of} are left, {step.ratio:.0%} were asked for: in multiples of "
        f"{step.multiple} channels, and without the channels that must stay, there is no nearer "
        "choice",
    )
