"""From a graph to a model that trains well: with normalizations that fit the data."""

from __future__ import annotations

from typing import Any

from converters.data.dataset import Samples
from converters.draft.draft import Materials
from converters.draft.node_statistics import measure_node_moments
from converters.graph.build import build_model
from converters.graph.node import Graph
from converters.graph.unfold import Moments, normalizable, unfold_graph


def measure_moments(graph: Graph, samples: Samples, materials: Materials) -> dict[str, Moments]:
    """Moments of the outputs of all nodes that a normalization can follow."""
    names = normalizable(graph)
    return measure_node_moments(graph, names, samples, materials.seed, materials.report)


def trainable_model(graph: Graph, samples: Samples, materials: Materials) -> Any:
    """Build a tf-keras model with BatchNormalization and the same answers as the graph.

    Args:
        graph: Trained model.
        samples: Real samples, to measure the first statistics of the normalizations.
        materials: Seed, and function that receives the progress.
    """
    return build_model(unfold_graph(graph, measure_moments(graph, samples, materials)))
