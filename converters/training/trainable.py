"""From a graph to a model that can be trained well: normalized, and with statistics that fit."""

from __future__ import annotations

from typing import Any

from converters.data.dataset import Samples
from converters.draft.draft import Materials
from converters.draft.node_statistics import measured_moments
from converters.graph.build import build_model
from converters.graph.node import Graph
from converters.graph.unfold import Moments, normalizable, unfold_graph


def moments_of(graph: Graph, samples: Samples, materials: Materials) -> dict[str, Moments]:
    """Moments of everything that can have a normalization behind it."""
    names = normalizable(graph)
    return measured_moments(graph, names, samples, materials.seed, materials.report)


def trainable_model(graph: Graph, samples: Samples, materials: Materials) -> Any:
    """A tf-keras model that answers as the graph does, with BatchNormalization.

    Args:
        graph: A trained model.
        samples: Real ones, to measure what the normalizations begin with.
        materials: With a seed and whom to report to.
    """
    return build_model(unfold_graph(graph, moments_of(graph, samples, materials)))
