"""Folding takes back what unfolding did."""

from __future__ import annotations

import numpy as np
import pytest

from converters.graph.fold import fold_graph
from converters.graph.node import CONV, CONV_TRANSPOSE, DEPTHWISE, INPUT, NORM, Graph, Node
from converters.graph.unfold import unfold_graph

#: Shape of a kernel of three inputs and six outputs.
KERNELS = {CONV: (3, 3, 3, 6), CONV_TRANSPOSE: (3, 3, 6, 3), DEPTHWISE: (3, 3, 3, 2)}


@pytest.mark.parametrize("op", KERNELS)
def test_a_normalization_for_training_leaves_the_folded_weights_as_they_were(op: str) -> None:
    random = np.random.default_rng(0)
    kernel = random.normal(0, 1e-3, KERNELS[op]).astype(np.float32)
    bias = random.normal(0, 1, 6).astype(np.float32)
    window = {"strides": (1, 1), "padding": "same", "dilation": (1, 1), "groups": 1}
    nodes = (
        Node("image", INPUT, (), (8, 8, 3)),
        Node("kernel", op, ("image",), (8, 8, 6), window, "kernel"),
        Node("relu", "activation", ("kernel",), (8, 8, 6), {"function": "relu"}),
    )
    graph = Graph("m", nodes, ("relu",), {"kernel": {"kernel": kernel, "bias": bias}})
    moments = random.normal(0, 1, 6), random.uniform(0.1, 2, 6)

    unfolded = unfold_graph(graph, {"kernel": moments})
    folded = fold_graph(unfolded)

    assert [node.op for node in unfolded.nodes] == [INPUT, op, NORM, "activation"]
    assert folded.nodes == graph.nodes
    assert folded.weights.keys() == {"kernel"}
    np.testing.assert_allclose(folded.weights["kernel"]["kernel"], kernel, rtol=1e-5)
    np.testing.assert_allclose(folded.weights["kernel"]["bias"], bias, atol=1e-5)
