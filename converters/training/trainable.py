"""The border between the graph and the Keras model that trains: out of the graph, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from converters.data.dataset import Samples
from converters.draft.draft import Draft, Materials
from converters.draft.node_statistics import measure_node_moments
from converters.graph.build import build_model, weights_of
from converters.graph.fold import fold_graph
from converters.graph.node import Graph
from converters.graph.unfold import Moments, normalizable, unfold_graph
from converters.training.parallel import scope


def measure_moments(graph: Graph, samples: Samples, materials: Materials) -> dict[str, Moments]:
    """Moments of the outputs of all nodes that a normalization can follow."""
    names = normalizable(graph)
    return measure_node_moments(graph, names, samples, materials.seed, materials.report)


def trainable_graph(graph: Graph, samples: Samples, materials: Materials) -> Graph:
    """Put normalizations, with statistics that fit, behind convolutions; the answers stay.

    Args:
        graph: Folded graph of a trained model.
        samples: Real samples, to measure the first statistics of the normalizations.
        materials: Materials with a seed and a report.
    """
    return unfold_graph(graph, measure_moments(graph, samples, materials))


def folded_graph(draft: Draft) -> Graph:
    """The folded graph of a draft: without normalizations."""
    return fold_graph(_graph(draft))


def model_to_train(draft: Draft, strategy: Any) -> Any:
    """Build a fresh tf-keras model of a draft, to be trained in place.

    Args:
        draft: A draft with a graph.
        strategy: Strategy of the devices that train together, or None.
    """
    with scope(strategy):
        return build_model(_graph(draft))


def with_weights_of(draft: Draft, model: Any) -> Draft:
    """Read the weights of a trained model back into the draft: the only place where that is done.

    Args:
        draft: Draft that the model was built from.
        model: Model of this process alone, without wrappers; its layers have the names of the
            graph's nodes.
    """
    return replace(draft, graph=weights_of(_graph(draft), model))


def _graph(draft: Draft) -> Graph:
    """The graph of a draft: a recipe that trains begins with one."""
    assert draft.graph is not None
    return draft.graph
