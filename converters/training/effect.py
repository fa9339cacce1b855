"""Loss of a model on samples: the measure of what a removed part would cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.data.dataset import TRAIN, VALIDATION, Samples
from converters.data.fields import from_keras_outputs, select_field, to_keras_inputs
from converters.data.split import balanced_choice
from converters.draft.draft import Materials
from converters.graph.build import build_model
from converters.graph.node import Graph
from converters.sources.inputs_outputs import Probabilities
from converters.training.loss import mean_distance
from converters.training.teacher import log_probabilities

#: Number of samples that order the parts of a model well enough, and of samples in a batch.
_SAMPLES, _BATCH = 1024, 256


def judged_samples(materials: Materials) -> Samples:
    """Samples of every class to compare models on.

    They are validation samples, which training does not learn from; training samples if there are
    no others.
    """
    samples = materials.samples.get(VALIDATION) or materials.samples[TRAIN]
    rows = balanced_choice(samples.labels, _SAMPLES, materials.seed)
    return samples.subset(rows)


def graph_loss(graph: Graph, samples: Samples, probabilities: Probabilities) -> float:
    """Loss of a graph on samples: `model_loss` of the model that is built from it."""
    return model_loss(build_model(graph), samples, probabilities)


def model_loss(model: Any, samples: Samples, probabilities: Probabilities) -> float:
    """Loss of a model on samples.

    Args:
        model: tf-keras model.
        samples: Samples with the right answers.
        probabilities: Whether a classifier's scores are probabilities, not logits.

    Returns:
        Mean cross entropy with the labels of a classifier, in nats; for other tasks the mean loss
        of the task. For several outputs the sum of their losses.
    """
    total = 0.0
    for batch, right in samples.batches(_BATCH):
        answers = from_keras_outputs(
            model(to_keras_inputs(batch), training=False), samples.task.names
        )
        for name, task in (samples.task.parts or {"": samples.task}).items():
            scores, labels = select_field(answers, name), select_field(right, name)
            if not task.is_classification:
                total += mean_distance(task, labels, scores) * len(batch)
                continue
            logarithms = log_probabilities(scores, select_field(probabilities, name))
            total -= float(logarithms[np.arange(len(labels)), labels].sum())
    return total / len(samples)
