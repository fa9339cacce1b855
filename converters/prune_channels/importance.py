"""Importance of each channel, computed from weights with BatchNormalization folded in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.graph.node import CONV_TRANSPOSE, DEPTHWISE, WEIGHTED, Graph
from converters.prune_channels.channels import PRODUCERS, Channels, Symbols

Doubles = npt.NDArray[np.float64]
Kernels = Mapping[str, npt.NDArray[np.float32]]

#: Channel to its importance; for a norm, 1 is the mean of its group.
Importance = dict[int, float]


def by_norm(graph: Graph, channels: Channels, order: int) -> Importance:
    """Norm of all weights of a channel, in the layers that produce it and that consume it.

    Each layer counts equally, whatever the size of its weights is, so that channels of different
    groups can be compared.

    Args:
        graph: Graph of the model.
        channels: Channels of the graph.
        order: Order of the norm: 1 for L1, 2 for L2.
    """
    sums: dict[int, list[float]] = {}
    for symbols, slices in _members(graph, channels):
        norms = np.linalg.norm(slices, ord=order, axis=1)
        norms = norms / max(float(norms.mean()), 1e-12)
        for channel, norm in zip(symbols.tolist(), norms.tolist(), strict=True):
            sums.setdefault(channel, []).append(norm)
    means = {channel: float(np.mean(norms)) for channel, norms in sums.items()}
    return {channel: means[channel] for group in channels.groups for channel in group}


def by_taylor(graph: Graph, channels: Channels, gradients: Sequence[Kernels]) -> Importance:
    """Change of the loss without a channel, to the first order.

    |sum of weight * gradient| over the kernels that produce the channel, averaged over batches
    (Molchanov et al., "Importance Estimation for Neural Network Pruning", 2019).

    Args:
        graph: Graph of the model.
        channels: Channels of the graph.
        gradients: For each batch key of weights to the gradient of the loss, in the kernel's shape.
    """
    means = {channel: 0.0 for group in channels.groups for channel in group}
    for of_batch in gradients:
        changes = dict.fromkeys(means, 0.0)
        for node in graph.nodes:
            if node.op not in PRODUCERS or graph.uses()[node.weights][0] != node:
                continue
            product = graph.weights[node.weights]["kernel"] * of_batch[node.weights]
            sums = _by_output(node.op, product).sum(axis=1)
            for channel, change in zip(channels.of[node.name].tolist(), sums, strict=True):
                if channel in changes:
                    changes[channel] += float(change)
        for channel, change in changes.items():
            means[channel] += abs(change) / len(gradients)
    return means


def _members(graph: Graph, channels: Channels) -> Iterator[tuple[Symbols, Doubles]]:
    """Yield, for each axis of channels of each kernel, the channels and a row of weights each."""
    for nodes in graph.uses().values():
        node = nodes[0]
        if node.op not in WEIGHTED or node.attributes.get("groups", 1) > 1:
            continue
        kernel = graph.weights[node.weights]["kernel"].astype(np.float64)
        yield channels.of[node.name], _by_output(node.op, kernel)
        if node.op in PRODUCERS:
            axis = -1 if node.op == CONV_TRANSPOSE else -2
            rows = np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1)
            yield channels.of[node.inputs[0]], rows


def _by_output(op: str, kernel: npt.NDArray[Any]) -> Doubles:
    """Kernel as rows, one for each output channel: (channels, weights)."""
    if op == DEPTHWISE:
        rows = kernel.reshape(-1, kernel.shape[-2] * kernel.shape[-1]).T
    else:
        axis = -2 if op == CONV_TRANSPOSE else -1
        rows = np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1)
    return rows.astype(np.float64)
