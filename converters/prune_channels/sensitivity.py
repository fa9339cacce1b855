"""Measured loss of the model when one group alone becomes narrower."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import TRAIN
from converters.draft.draft import Materials
from converters.draft.node_statistics import measure_node_moments
from converters.graph.build import build_model, variables_of
from converters.graph.node import CONV_TRANSPOSE, Graph, Node
from converters.graph.unfold import Moments
from converters.progress import Progress
from converters.prune_channels.channels import PRODUCERS, Channels
from converters.prune_channels.ladder import Doubles, Ladder
from converters.training.effect import judged_samples, model_loss


def measure_losses(
    graph: Graph, channels: Channels, ladder: Ladder, materials: Materials
) -> tuple[Doubles, ...]:
    """Measure the additional loss of each level of each group.

    Removed channels are held at their mean, because a bias can replace the mean without training.

    Args:
        graph: Trained model.
        channels: Channels of the graph.
        ladder: Levels of every group.
        materials: Samples with the split "train"; those of "validation" judge, if there are any.

    Returns:
        For each group the additional loss of its levels in nats, float64, shape (levels,),
        ascending: a level never has a smaller loss than a wider one.
    """
    makers = [node for node in graph.nodes if node.op in PRODUCERS]
    names = tuple(node.name for node in makers)
    seed, report = materials.seed, materials.report
    moments = measure_node_moments(graph, names, materials.samples[TRAIN], seed, report)
    samples, probabilities = judged_samples(materials), materials.source.probabilities
    model = build_model(graph)
    before = model_loss(model, samples, probabilities)
    total = sum(len(counts) - 1 for counts in ladder.counts)
    losses_of_groups: list[Doubles] = []
    done = 0
    for order, counts in zip(ladder.orders, ladder.counts, strict=True):
        losses = [0.0]
        for count in counts[1:]:
            channel_numbers = order[: len(order) - count]
            _hold(graph, channels, model, makers, moments, channel_numbers)
            losses.append(model_loss(model, samples, probabilities) - before)
            done += 1
            report(Progress("try each layer", done, total))
        _hold(graph, channels, model, makers, moments, ())
        losses_of_groups.append(np.maximum.accumulate(np.maximum(losses, 0.0)))
    return tuple(losses_of_groups)


def _hold(
    graph: Graph,
    channels: Channels,
    model: Any,
    makers: Collection[Node],
    moments: dict[str, Moments],
    channel_numbers: Collection[int],
) -> None:
    """Hold some channels at their mean, and restore all others."""
    for node in makers:
        off = np.isin(channels.of[node.name], list(channel_numbers))
        weights = graph.weights[node.weights]
        kernel = np.where(_by_output(node, off), 0.0, weights["kernel"])
        mean = moments[node.name][0]
        variables = variables_of(graph, model, node.weights)
        variables["kernel"].assign(kernel.astype(np.float32).reshape(variables["kernel"].shape))
        variables["bias"].assign(np.where(off, mean, weights["bias"]).astype(np.float32))


def _by_output(node: Node, off: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Flags of the output channels, in a shape that fits the kernel."""
    return off[:, None] if node.op == CONV_TRANSPOSE else off
