"""Lets every layer of a pruned graph give again, as well as it can, what it gave before.

Layer after layer, the weights are corrected by ridge regression: from what the layer takes in the
pruned model to what it gave in the whole one (He, Zhang and Sun, "Channel Pruning for Accelerating
Very Deep Neural Networks", 2017). A layer that is added to something else corrects the sum, with
what the other side lost. Layers whose weights cannot be found so, such as depthwise ones, get their
mean back.
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

#: Rows that a regression has for each number it finds, if there are samples enough.
_ROWS = 8
_FEWEST, _MOST, _BATCH = 128, 2048, 32
#: Pulls the corrections to 0: a share of the mean of the inputs' squares.
_RIDGE = 1e-2
#: A kernel with more inputs than this is not regressed: its normal equations take too much memory.
_MOST_INPUTS = 3000


def reconstructed(
    whole: Graph,
    pruned: Graph,
    kept: Mapping[str, Rows],
    samples: Samples,
    seed: int,
    report: Report,
) -> Graph:
    """The pruned graph with corrected weights; its shapes stay.

    Args:
        whole: The model before.
        pruned: The same with fewer channels.
        kept: Name of each node to the channels of the whole model that are left of its output.
        samples: Real ones; some of every class are taken.
        seed: Decides which.
        report: Told about each layer.
    """
    touched = _touched(whole, pruned)
    uses = pruned.uses()
    todo = [
        node
        for node in pruned.nodes
        if node.op in WEIGHTED
        and _takes_other(whole, node, touched)
        and len(uses[node.weights]) == 1
    ]
    for done, node in enumerate(todo, start=1):
        pruned = _corrected(whole, pruned, node, kept, samples, seed)
        report(Progress("reconstruct layers", done, len(todo)))
    return pruned


def _touched(whole: Graph, pruned: Graph) -> set[str]:
    """Nodes that do not give what they gave: narrower ones, and all that comes of a change."""
    before = whole.by_name()
    found: set[str] = set()
    for node in pruned.nodes:
        old = before[node.name]
        if (node.shape, node.inputs) != (old.shape, old.inputs) or found & set(node.inputs):
            found.add(node.name)
    return found


def _takes_other(whole: Graph, node: Node, touched: set[str]) -> bool:
    """Whether a layer takes something else than it took."""
    return node.inputs[0] in touched or node.inputs != whole.by_name()[node.name].inputs


def _corrected(
    whole: Graph, pruned: Graph, node: Node, kept: Mapping[str, Rows], samples: Samples, seed: int
) -> Graph:
    old = pruned.weights[node.weights]
    inputs = prod(old["kernel"].shape[:-1])
    regress = (
        node.op in (CONV, DENSE)
        and node.attributes.get("groups", 1) == 1
        and inputs <= _MOST_INPUTS
    )
    count = _ROWS * inputs // max(1, prod(node.shape[:-1]))
    rows = balanced_choice(samples.labels, int(np.clip(count, _FEWEST, _MOST)), seed)
    sums = _Sums()
    at = _end(pruned, node)
    before = build_model(replace(whole, outputs=(at,)))
    after = build_model(replace(pruned, outputs=(node.inputs[0], at)))
    for start in range(0, len(rows), _BATCH):
        batch = to_keras_inputs(samples.batch(rows[start : start + _BATCH]))
        wanted = np.asarray(before(batch, training=False))[..., kept[at]]
        taken, given = after(batch, training=False)
        missing = (wanted - np.asarray(given)).reshape(-1, node.shape[-1])
        patches = _patches(node, old["kernel"].shape, taken) if regress else None
        sums.add(patches, missing)
    kernel, bias = sums.correction()
    new = {"kernel": old["kernel"], "bias": old["bias"] + bias.astype(np.float32)}
    if kernel is not None:
        change = kernel.reshape(old["kernel"].shape)
        new["kernel"] = old["kernel"] + change.astype(np.float32)
    return with_weights(pruned, {**pruned.weights, node.weights: new})


def _end(graph: Graph, node: Node) -> str:
    """Where a layer's answer is judged: in the sum, if all else that is added is there by then."""
    consumers = graph.consumers()[node.name]
    if len(consumers) != 1 or consumers[0].op != ADD or node.name in graph.outputs:
        return node.name
    (last,) = consumers
    order = [other.name for other in graph.nodes]
    earlier = all(order.index(name) <= order.index(node.name) for name in last.inputs)
    return last.name if earlier and last.shape == node.shape else node.name


def _patches(node: Node, kernel: Sequence[int], taken: Any) -> Floats:
    """What a kernel sees at each place: shape (places, inputs of the kernel)."""
    if node.op == DENSE:
        rows: Floats = np.asarray(taken).reshape(-1, kernel[0])
        return rows
    plain = node.attributes
    found = tf.image.extract_patches(
        taken,
        sizes=(1, *kernel[:2], 1),
        strides=(1, *plain["strides"], 1),
        rates=(1, *plain["dilation"], 1),
        padding=plain["padding"].upper(),
    )
    patches: Floats = np.asarray(found).reshape(-1, prod(kernel[:3]))
    return patches


class _Sums:
    """What a regression needs of all rows."""

    def __init__(self) -> None:
        self._rows = 0
        self._squares: Any = 0.0
        self._products: Any = 0.0
        self._inputs: Any = 0.0
        self._missing: Any = 0.0

    def add(self, patches: Floats | None, missing: Floats) -> None:
        """Take in some rows."""
        self._rows += len(missing)
        self._missing = self._missing + missing.sum(axis=0, dtype=np.float64)
        if patches is not None:
            self._inputs = self._inputs + patches.sum(axis=0, dtype=np.float64)
            self._squares = self._squares + (patches.T @ patches).astype(np.float64)
            self._products = self._products + (patches.T @ missing).astype(np.float64)

    def correction(self) -> tuple[npt.NDArray[np.float64] | None, npt.NDArray[np.float64]]:
        """What to add to the kernel, shape (inputs, outputs), if it is known, and to the bias."""
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
