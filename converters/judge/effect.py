"""How well a model does on samples: what is measured before something of it goes for good."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.data.dataset import TRAIN, VALIDATION, Samples
from converters.data.split import balanced_choice
from converters.draft import Materials
from converters.graph.build import build_model
from converters.graph.node import Graph
from converters.training.loss import mean_distance
from converters.training.teacher import log_probabilities

#: So many samples order the parts of a model well enough; and how many of them at a time.
_SAMPLES, _BATCH = 1024, 256


def judged_samples(materials: Materials) -> Samples:
    """Some samples of every class to compare models on: none that training learns from, if any."""
    samples = materials.samples.get(VALIDATION) or materials.samples[TRAIN]
    rows = balanced_choice(samples.labels, _SAMPLES, materials.seed)
    return samples.subset(rows)


def loss_of_graph(graph: Graph, samples: Samples, probabilities: bool) -> float:
    """Mean cross entropy of a classifier with the labels, in nats; arguments as below."""
    return loss_of_model(build_model(graph), samples, probabilities)


def loss_of_model(model: Any, samples: Samples, probabilities: bool) -> float:
    """Mean cross entropy of a classifier with the labels, in nats; of others the loss of the task.

    Args:
        model: Of tf-keras.
        samples: With the right answers.
        probabilities: Whether a classifier's scores are probabilities rather than logits.
    """
    total = 0.0
    for batch, labels in samples.batches(_BATCH):
        scores = np.asarray(model(batch, training=False))
        if not samples.task.is_classification:
            total += mean_distance(samples.task, labels, scores) * len(batch)
            continue
        logarithms = log_probabilities(scores, probabilities)
        total -= float(logarithms[np.arange(len(labels)), labels].sum())
    return total / len(samples)
