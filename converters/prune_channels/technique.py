"""The step of a recipe that takes channels out."""

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
    Target,
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

#: A scope: losses that were measured decide, in the place of importance.
SENSITIVITY = "sensitivity"
#: Levels of all groups together, but at least one a group, where each level takes a second or more:
#: a file is written and measured, or samples are judged.
_MOST_TRIALS = 40
#: Between two rounds the original teaches so long and so fast.
_BETWEEN = Distill(epochs=1, learning_rate=1e-3)


@dataclass(frozen=True)
class _Cut:
    """One removal."""

    graph: Graph
    """What is left, mended."""
    left: float
    """Share of what is aimed at that is left of the graph before."""
    latency_us: tuple[float, ...] = ()
    """Before and after; empty where nobody measures."""
    measured: int = 0
    """Files that were measured."""
    losses: tuple[dict[str, Any], ...] = ()
    """Of each group what its levels add to the loss, if that was measured."""


def prune(draft: Draft, step: PruneChannels, materials: Materials) -> Draft:
    """Take out the channels that matter least; a training step has to follow.

    Args:
        draft: A draft that is not quantized.
        step: How many, in how many rounds, and how they are judged.
        materials: With the split "train".

    Raises:
        ConversionError: The model cannot be brought to a graph, or none of its channels can go.
    """
    origin = str(materials.source.path)
    whole = folded_graph(draft)
    cuts: list[_Cut] = []
    left = 1.0
    for number in range(1, step.rounds + 1):
        graph = whole
        if cuts:
            graph = _taught(draft, cuts[-1].graph, materials)
        # Each round leaves the same share of what the one before left.
        cut = _cut(graph, step.ratio ** (number / step.rounds) / left, step, materials)
        if cut is not None:
            cuts.append(cut)
            left *= cut.left
    if not cuts:
        raise ConversionError(
            f"{origin}: no channels can be taken out of it to leave {step.ratio:.0%} of "
            f"the {step.of} in multiples of {step.multiple} channels",
            "Give the step a smaller `multiple`, or use a recipe without it.",
        )
    pruned = cuts[-1].graph
    return replace(
        draft,
        graph=trainable_graph(pruned, materials.samples[TRAIN], materials),
        warnings=draft.warnings + _warnings(step, left, materials),
        found=_found(whole, cuts),
    )


def _found(whole: Graph, cuts: Sequence[_Cut]) -> dict[str, Any]:
    pruned, first, last = cuts[-1].graph, cuts[0], cuts[-1]
    return {
        "macs": [macs(whole), *(macs(cut.graph) for cut in cuts)],
        "parameters": [parameters(whole), *(parameters(cut.graph) for cut in cuts)],
        "channels": _widths(whole, pruned),
        "chosen_by": "latency" if first.latency_us else "macs",
        "latency_us": [*first.latency_us[:1], *last.latency_us[1:]],
        "measured_files": sum(cut.measured for cut in cuts),
        "losses": list(last.losses),
    }


def _taught(draft: Draft, graph: Graph, materials: Materials) -> Graph:
    """The graph that a short training makes of one between two rounds."""
    student = trainable_graph(graph, materials.samples[TRAIN], materials)
    # The step's own checkpoint is not this training's.
    alone = replace(materials, checkpoint=None, logs=None)
    return folded_graph(distill(replace(draft, graph=student), _BETWEEN, alone))


def _cut(graph: Graph, ratio: float, step: PruneChannels, materials: Materials) -> _Cut | None:
    """Take out channels once; None if there are none to take out."""
    channels = channels_of(graph)
    importance = _importance(graph, channels, step, materials)
    bounds = Bounds(step.multiple, step.multiple)
    ladder = ladder_of(channels, importance, bounds, _most_levels(channels, step, materials))
    if ratio >= 1 or all(len(counts) == 1 for counts in ladder.counts):
        return None
    lost = importance_losses(ladder, importance)
    losses: tuple[dict[str, Any], ...] = ()
    if step.scope == SENSITIVITY:
        lost = measure_losses(graph, channels, ladder, materials)
        losses = _curves(graph, channels, ladder, lost)
    sizes, measure = Sizes(graph, channels, ladder), materials.measure
    target = Target(ratio, step.of, UNIFORM if step.scope == UNIFORM else GLOBAL)
    with Trials(graph, channels, ladder, materials) as trials:
        materials.report(Progress("choose widths", 0, 0))
        by_files = None if measure is None else lambda rows: trials.measured(rows, measure)
        choice = choose_widths(ladder, sizes, lost, target, by_files)
        kept_all = tuple(map(int, ladder.whole))
        latency_us = tuple(trials.us[row] for row in (kept_all, choice.levels) if trials.us)
    if choice.levels == kept_all:
        return None
    removed = ladder.removed(choice.levels)
    pruned = without_channels(graph, channels, removed)
    kept = _kept(channels, removed)
    samples = materials.samples[TRAIN]
    mended = reconstruct_layers(graph, pruned, kept, samples, materials.seed, materials.report)
    count = parameters if step.of == PARAMETERS else macs
    left = count(pruned) / count(graph)
    if step.of == LATENCY and choice.latency is not None:
        left = choice.latency
    return _Cut(mended, left, latency_us, choice.measured, losses)


def _most_levels(channels: Channels, step: PruneChannels, materials: Materials) -> int | None:
    """Levels of a group that there is time for; None where only the search takes any."""
    groups = max(1, len(channels.groups))
    if step.scope == SENSITIVITY or materials.measure and step.scope != UNIFORM:
        return max(2, 1 + _MOST_TRIALS // groups)
    if step.scope == UNIFORM and step.of != LATENCY:
        return max(map(len, channels.groups), default=0) + 1
    return None


def _curves(
    graph: Graph, channels: Channels, ladder: Ladder, lost: Sequence[Doubles]
) -> tuple[dict[str, Any], ...]:
    """What each level of each group adds to the loss, for conversion.json."""
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
        for order, counts, of_group in zip(ladder.orders, ladder.counts, lost, strict=True)
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


def _warnings(step: PruneChannels, left: float, materials: Materials) -> tuple[str, ...]:
    if step.of == LATENCY and materials.measure is None:
        return ("no latency is measured here: the MACs are used instead",)
    if abs(left - step.ratio) < 0.05:
        return ()
    return (
        f"{left:.0%} of the {step.of} are left, {step.ratio:.0%} were asked for: in multiples of "
        f"{step.multiple} channels, and without the channels that must stay, there is no nearer "
        "choice",
    )
