"""Reconstruction of the outputs of every layer in a pruned graph, as closely as possible.

Layer by layer, the weights are corrected by ridge regression from the layer's input in the pruned
model to its output in the whole model (He, Zhang and Sun, "Channel Pruning for Accelerating Very
Deep Neural Networks", 2017). If an addition follows the layer, the sum is reconstructed, including
the loss of the other summand. Layers without such a regression, such as depthwise ones, get only
the mean of their output back, by their bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from converters.data.dataset import Samples
from converters.data.fields import to_keras_inputs
from converters.data.split import balanced_choice
from converters.graph.build import build_model
from converters.graph.node import ADD, CONV, DENSE, WEIGHTED, Graph, Node, with_weights
from converters.progress import Progress, Report

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]

#: Number of rows of a regression for each unknown, if there are enough samples.
_ROWS = 8
_FEWEST, _MOST, _BATCH = 128, 2048, 32
#: Strength of the ridge that pulls the corrections to 0, as a share of the inputs' mean square.
_RIDGE = 1e-2
#: Largest number of inputs of a kernel for regression: more need too much memory.
_MOST_INPUTS = 3000


def reconstruct_layers(
    whole: Graph,
    pruned_graph: Graph,
    channels_of_nodes: Mapping[str, Rows],
    samples: Samples,
    seed: int,
    report: Report,
) -> Graph:
    """Correct the weights of a pruned graph; its shapes do not change.

    Args:
        whole: Graph before pruning.
        pruned_graph: Graph with fewer channels.
        channels_of_nodes: Name of each node of both graphs to the remaining channels of its output,
            as numbers of the whole model's channels, shape (channels,). Nodes of the pruned graph
            alone keep their weights.
        samples: Real samples; some of every class are used.
        seed: Seed that decides which samples are used.
        report: Function that receives the progress after each layer.
    """
    changes = _changed_nodes(whole, pruned_graph)
    uses = pruned_graph.uses()
    todo = [
        node
        for node in pruned_graph.nodes
        if node.op in WEIGHTED
        and node.name in channels_of_nodes
        and _has_other_inputs(whole, node, changes)
        and len(uses[node.weights]) == 1
    ]
    for done, node in enumerate(todo, start=1):
        pruned_graph = _correct_layer(whole, pruned_graph, node, channels_of_nodes, samples, seed)
        report(Progress("reconstruct layers", done, len(todo)))
    return pruned_graph


def _changed_nodes(whole: Graph, pruned_graph: Graph) -> set[str]:
    """Names of the changed nodes and of all that follow them: their outputs are not as before."""
    before = whole.by_name()
    names: set[str] = set()
    for node in pruned_graph.nodes:
        if names & set(node.inputs) or _is_changed(node, before.get(node.name)):
            names.add(node.name)
    return names


def _is_changed(node: Node, old: Node | None) -> bool:
    if old is None:
        return True
    parts = [(n.op, n.shape, n.inputs, n.attributes) for n in (node, old)]
    return parts[0] != parts[1]


def _has_other_inputs(whole: Graph, node: Node, changes: set[str]) -> bool:
    """Whether the input of a layer is another than before."""
    return node.inputs[0] in changes or node.inputs != whole.by_name()[node.name].inputs


def _correct_layer(
    whole: Graph,
    pruned_graph: Graph,
    node: Node,
    channels_of_nodes: Mapping[str, Rows],
    samples: Samples,
    seed: int,
) -> Graph:
    old = pruned_graph.weights[node.weights]
    inputs = prod(old["kernel"].shape[:-1])
    regress = (
        node.op in (CONV, DENSE)
        and node.attributes.get("groups", 1) == 1
        and inputs <= _MOST_INPUTS
    )
    count = _ROWS * inputs // max(1, prod(node.shape[:-1]))
    rows = balanced_choice(samples.labels, int(np.clip(count, _FEWEST, _MOST)), seed)
    sums = _Sums()
    at = _node_to_reconstruct(pruned_graph, node)
    before = build_model(replace(whole, outputs=(at,)))
    after = build_model(replace(pruned_graph, outputs=(node.inputs[0], at)))
    for start in range(0, len(rows), _BATCH):
        batch = to_keras_inputs(samples.batch(rows[start : start + _BATCH]))
        expected = np.asarray(before(batch, training=False))[..., channels_of_nodes[at]]
        inputs_after, outputs_after = after(batch, training=False)
        missing = (expected - np.asarray(outputs_after)).reshape(-1, node.shape[-1])
        patches = _patches(node, old["kernel"].shape, inputs_after) if regress else None
        sums.add(patches, missing)
    kernel, bias = sums.correction()
    new = {"kernel": old["kernel"], "bias": old["bias"] + bias.astype(np.float32)}
    if kernel is not None:
        change = kernel.reshape(old["kernel"].shape)
        new["kernel"] = old["kernel"] + change.astype(np.float32)
    return with_weights(pruned_graph, {**pruned_graph.weights, node.weights: new})


def _node_to_reconstruct(graph: Graph, node: Node) -> str:
    """Name of the node whose output is reconstructed by the weights of a layer.

    It is the addition after the layer, if the other summand is computed before; else the layer.
    """
    consumers = graph.consumers()[node.name]
    if len(consumers) != 1 or consumers[0].op != ADD or node.name in graph.outputs:
        return node.name
    (last,) = consumers
    order = [other.name for other in graph.nodes]
    earlier = all(order.index(name) <= order.index(node.name) for name in last.inputs)
    return last.name if earlier and last.shape == node.shape else node.name


def _patches(node: Node, kernel: Sequence[int], inputs: Any) -> Floats:
    """Inputs of a kernel at each place: shape (places, inputs of the kernel)."""
    if node.op == DENSE:
        rows: Floats = np.asarray(inputs).reshape(-1, kernel[0])
        return rows
    plain = node.attributes
    windows = tf.image.extract_patches(
        inputs,
        sizes=(1, *kernel[:2], 1),
        strides=(1, *plain["strides"], 1),
        rates=(1, *plain["dilation"], 1),
        padding=plain["padding"].upper(),
    )
    patches: Floats = np.asarray(windows).reshape(-1, prod(kernel[:3]))
    return patches


class _Sums:
    """Sums over all rows from which a regression is solved."""

    def __init__(self) -> None:
        self._rows = 0
        self._squares: Any = 0.0
        self._products: Any = 0.0
        self._inputs: Any = 0.0
        self._missing: Any = 0.0

    def add(self, patches: Floats | None, missing: Floats) -> None:
        """Add rows: patches (rows, inputs) or None, and missing outputs (rows, outputs)."""
        self._rows += len(missing)
        self._missing = self._missing + missing.sum(axis=0, dtype=np.float64)
        if patches is not None:
            self._inputs = self._inputs + patches.sum(axis=0, dtype=np.float64)
            self._squares = self._squares + (patches.T @ patches).astype(np.float64)
            self._products = self._products + (patches.T @ missing).astype(np.float64)

    def correction(self) -> tuple[npt.NDArray[np.float64] | None, npt.NDArray[np.float64]]:
        """Corrections of the kernel, (inputs, outputs) or None, and of the bias, (outputs,)."""
        missing = self._missing / self._rows
        if np.ndim(self._squares) == 0:
            return None, missing
        mean = self._inputs / self._rows
        squares = self._squares / self._rows - np.outer(mean, mean)
        products = self._products / self._rows - np.outer(mean, missing)
        squares[np.diag_indices_from(squares)] += (
            _RIDGE * max(float(np.trace(squares)), 1e-12) / len(squares)
        )
        kernel = np.linalg.solve(squares, products)
        return kernel, missing - mean @ kernel
