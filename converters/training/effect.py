"""How well a model does on samples: what is measured before something of it goes for good."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.data.dataset import TRAIN, VALIDATION, Samples
from converters.data.fields import fed, gathered, part
from converters.data.split import balanced_choice
from converters.draft.draft import Materials
from converters.graph.build import build_model
from converters.graph.node import Graph
from converters.sources.inputs_outputs import Probabilities
from converters.training.loss import mean_distance
from converters.training.teacher import log_probabilities

#: So many samples order the parts of a model well enough; and how many of them at a time.
_SAMPLES, _BATCH = 1024, 256


def judged_samples(materials: Materials) -> Samples:
    """Some samples of every class to compare models on: none that training learns from, if any."""
    samples = materials.samples.get(VALIDATION) or materials.samples[TRAIN]
    rows = balanced_choice(samples.labels, _SAMPLES, materials.seed)
    return samples.subset(rows)


def loss_of_graph(graph: Graph, samples: Samples, probabilities: Probabilities) -> float:
    """The loss of a graph; arguments as below."""
    return loss_of_model(build_model(graph), samples, probabilities)


def loss_of_model(model: Any, samples: Samples, probabilities: Probabilities) -> float:
    """Mean cross entropy of a classifier with the labels, in nats; of others the loss of the task.

    Of several outputs their sum.

    Args:
        model: Of tf-keras.
        samples: With the right answers.
        probabilities: Whether a classifier's scores are probabilities rather than logits.
    """
    total = 0.0
    for batch, wanted in samples.batches(_BATCH):
        answers = gathered(model(fed(batch), training=False), samples.task.names)
        for name, task in (samples.task.parts or {"": samples.task}).items():
            scores, labels = part(answers, name), part(wanted, name)
            if not task.is_classification:
                total += mean_distance(task, labels, scores) * len(batch)
                continue
            logarithms = log_probabilities(scores, part(probabilities, name))
            total -= float(logarithms[np.arange(len(labels)), labels].sum())
    return total / len(samples)
