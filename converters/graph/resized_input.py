"""An input that is smaller than the samples: a model that trains resizes them itself. NumPy only.

The `input` of such a graph has the attribute `sample_shape`, the shape of the samples without the
batch axis. Its own shape is that of the file's input. The training model takes samples, and so does
the teacher; a file takes samples that were resized before (`converters.data.resized_samples`).
"""

from __future__ import annotations

from dataclasses import replace

from converters.graph.node import INPUT, Graph, Node

SAMPLE_SHAPE = "sample_shape"


def shape_of_samples(node: Node) -> tuple[int, ...]:
    """Shape of a sample of an input, without the batch axis."""
    return tuple(node.attributes.get(SAMPLE_SHAPE, node.shape))


def without_resize(graph: Graph) -> Graph:
    """The graph as its file is to be: its input takes samples that are resized already."""
    nodes = tuple(
        replace(node, attributes={k: v for k, v in node.attributes.items() if k != SAMPLE_SHAPE})
        if node.op == INPUT
        else node
        for node in graph.nodes
    )
    return replace(graph, nodes=nodes)


def resized_shape(graph: Graph) -> tuple[int, ...] | None:
    """Shape that samples are resized to, without the batch axis; None where they stay."""
    shapes = [node.shape for node in graph.nodes if SAMPLE_SHAPE in node.attributes]
    return shapes[0] if shapes else None
