"""From a graph to a model that can be trained well: normalized, and with statistics that fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from converters.dataset import Samples
from converters.draft import Draft, Materials
from converters.graph.build import build_model
from converters.graph.node import Graph
from converters.graph.unfold import Moments, normalizable, unfolded
from converters.measure import measured_moments
from converters.model_source import batch_one_function

#: Batches until the statistics of BatchNormalization have forgotten what they were: 0.95 ** 90.
_BATCHES, _BATCH = 90, 64


def moments_of(graph: Graph, samples: Samples, materials: Materials) -> dict[str, Moments]:
    """Moments of everything that can have a normalization behind it."""
    names = normalizable(graph)
    return measured_moments(graph, names, samples, materials.seed, materials.report)


def with_model(draft: Draft, model: Any, materials: Materials) -> Draft:
    """The draft with another Keras model."""
    shape = materials.source.input_shape
    function = batch_one_function(lambda x: model(x, training=False), shape)
    return replace(draft, function=function, keras_model=model)


def re_estimate(model: Any, samples: Samples, seed: int) -> None:
    """Let the statistics of every BatchNormalization follow what the model computes now.

    Args:
        model: Of tf-keras, built of a graph: nothing else in it behaves otherwise in training.
        samples: Real ones.
        seed: Decides which are taken.
    """
    random = np.random.default_rng(seed)
    for _ in range(_BATCHES):
        rows = random.choice(len(samples), min(_BATCH, len(samples)), replace=False)
        model(samples.batch(rows), training=True)


def trainable_model(graph: Graph, samples: Samples, materials: Materials) -> Any:
    """A tf-keras model that answers as the graph does, with BatchNormalization.

    Args:
        graph: A trained model.
        samples: Real ones, to measure what the normalizations begin with.
        materials: With a seed and whom to report to.
    """
    return build_model(unfolded(graph, moments_of(graph, samples, materials)))
