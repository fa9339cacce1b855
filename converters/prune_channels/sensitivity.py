"""What the model loses when one group alone becomes narrower, measured."""

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


def measured_losses(
    graph: Graph, channels: Channels, ladder: Ladder, materials: Materials
) -> tuple[Doubles, ...]:
    """Of each group what each level adds to the loss, in nats; never less than a wider level.

    What goes is held at its mean, as a bias can make up for that much without any training.

    Args:
        graph: A trained model.
        channels: Of the graph.
        ladder: The levels.
        materials: With the split "train"; "validation" judges, if it is there.
    """
    makers = [node for node in graph.nodes if node.op in PRODUCERS]
    names = tuple(node.name for node in makers)
    seed, report = materials.seed, materials.report
    moments = measure_node_moments(graph, names, materials.samples[TRAIN], seed, report)
    samples, probabilities = judged_samples(materials), materials.source.probabilities
    model = build_model(graph)
    before = model_loss(model, samples, probabilities)
    total = sum(len(counts) - 1 for counts in ladder.counts)
    found: list[Doubles] = []
    done = 0
    for order, counts in zip(ladder.orders, ladder.counts, strict=True):
        losses = [0.0]
        for count in counts[1:]:
            gone = order[: len(order) - count]
            _hold(graph, channels, model, makers, moments, gone)
            losses.append(model_loss(model, samples, probabilities) - before)
            done += 1
            report(Progress("try each layer", done, total))
        _hold(graph, channels, model, makers, moments, ())
        found.append(np.maximum.accumulate(np.maximum(losses, 0.0)))
    return tuple(found)


def _hold(
    graph: Graph,
    channels: Channels,
    model: Any,
    makers: Collection[Node],
    moments: dict[str, Moments],
    gone: Collection[int],
) -> None:
    """Let some channels give nothing but their mean, and all others what they gave."""
    for node in makers:
        off = np.isin(channels.of[node.name], list(gone))
        weights = graph.weights[node.weights]
        kernel = np.where(_by_output(node, off), 0.0, weights["kernel"])
        mean = moments[node.name][0]
        variables = variables_of(graph, model, node.weights)
        variables["kernel"].assign(kernel.astype(np.float32).reshape(variables["kernel"].shape))
        variables["bias"].assign(np.where(off, mean, weights["bias"]).astype(np.float32))


def _by_output(node: Node, off: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """A flag of each output channel, in a shape that fits the kernel."""
    return off[:, None] if node.op == CONV_TRANSPOSE else off
