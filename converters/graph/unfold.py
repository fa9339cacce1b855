"""Puts BatchNormalization behind convolutions, for training: the reverse of folding. NumPy only.

Kernels into which a BatchNormalization was folded are of any size, from 1e-4 up where a model takes
0-255; an optimizer whose steps are all of one size ruins the small ones. Behind a normalization the
size of a kernel does not matter, so that it is brought to sqrt(2 / fan_in) (He et al., 2015); and
the statistics can follow when channels were taken out.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
import numpy.typing as npt

from converters.graph.constant_factors import is_constant_factor
from converters.graph.node import (
    CONV,
    CONV_TRANSPOSE,
    DEPTHWISE,
    EPSILON,
    NORM,
    Graph,
    Node,
    replace_node,
    with_weights,
)

#: Mean and variance of each channel; float64, shape (channels,).
Moments = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def normalizable(graph: Graph) -> tuple[str, ...]:
    """Names of the nodes that can have a normalization behind them.

    Convolutions with more than one position a sample: over fewer numbers, the statistics of a batch
    say little. An epsilon and the like have none.
    """
    uses = graph.uses()
    return tuple(
        node.name
        for node in graph.nodes
        if node.op in (CONV, DEPTHWISE, CONV_TRANSPOSE)
        and len(uses[node.weights]) == 1
        and prod(node.shape[:-1]) > 1
        and node.name not in graph.outputs
        and not is_constant_factor(node, graph.weights[node.weights])
    )


def unfold_graph(graph: Graph, moments: Mapping[str, Moments]) -> Graph:
    """Make a graph of the same answers with a normalization behind some nodes.

    Args:
        graph: A folded graph.
        moments: Mean and variance of the output of each such node, by its name: float64, shape
            (channels,). The normalization gives its output these moments again.
    """
    weights = dict(graph.weights)
    for name, (mean, variance) in moments.items():
        node = graph.by_name()[name]
        kernel, bias = (graph.weights[node.weights][part] for part in ("kernel", "bias"))
        by_channel = kernel_factor(node, kernel)
        factor = by_channel.reshape(-1)
        of_norm = {
            "gamma": np.sqrt(factor**2 * variance + EPSILON) / factor,
            "beta": mean,
            "moving_mean": factor * (mean - bias),
            "moving_variance": factor**2 * variance,
        }
        weights[node.weights] = {
            "kernel": (kernel * by_channel).astype(np.float32),
            "bias": np.zeros_like(bias),
        }
        key = f"{name}_norm"
        weights[key] = {part: array.astype(np.float32) for part, array in of_norm.items()}
        norm = Node(key, NORM, (name,), node.shape, weights=key)
        graph = replace_node(graph, name, [node, norm])
    return with_weights(graph, weights)


def kernel_factor(node: Node, kernel: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Compute the factors that bring output channels of a kernel to the size of He et al.

    Args:
        node: Node that has the kernel.
        kernel: Kernel of the shape that `converters.graph.node` lists for the op, float32.

    Returns:
        One factor for each output channel, in their order: float64, in a shape that broadcasts to
        that of the kernel.
    """
    last = (-2, -1) if node.op == DEPTHWISE else (-2,) if node.op == CONV_TRANSPOSE else (-1,)
    others = tuple(axis for axis in range(kernel.ndim) if axis - kernel.ndim not in last)
    sizes = np.sqrt(np.mean(kernel.astype(np.float64) ** 2, axis=others, keepdims=True))
    target = np.sqrt(2 / prod(kernel.shape[axis] for axis in others))
    # A channel of zeros stays one.
    return np.where(sizes > 0, target / np.maximum(sizes, 1e-30), 1.0)
