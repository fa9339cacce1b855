"""Gradients of the loss for every kernel: what Taylor's importance asks for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from converters.data.dataset import Samples
from converters.data.split import balanced_choice
from converters.graph.build import build_model, variables_of
from converters.graph.node import Graph
from converters.progress import Progress, Report
from converters.prune_channels.channels import PRODUCERS
from converters.training.loss import Loss, trained_part

#: Batches of so many samples; more change the order of the channels little.
BATCHES, BATCH = 20, 64


def kernel_gradients(
    graph: Graph, samples: Samples, probabilities: bool, seed: int, report: Report
) -> list[dict[str, npt.NDArray[np.float32]]]:
    """Of each batch: key of weights to the gradient of its kernel, in the kernel's shape.

    Args:
        graph: A trained model.
        samples: Labelled; some of every class are taken.
        probabilities: Whether the model's scores are probabilities rather than logits.
        seed: Decides which are taken.
        report: Told about each batch.
    """
    model = build_model(graph)
    trained, from_logits = trained_part(model, probabilities, samples.task)
    loss = Loss(from_logits, None, samples.task)
    keys = [key for key, nodes in graph.uses().items() if nodes[0].op in PRODUCERS]
    variables = [variables_of(graph, model, key)["kernel"] for key in keys]

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def gradients(batch: Any, right: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(right, trained(batch, training=False))
        return tape.gradient(value, variables)

    rows = balanced_choice(samples.labels, BATCHES * BATCH, seed)
    found = []
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        right = samples.wanted(some).astype(np.float32)
        if samples.task.is_classification:
            right = right[:, None]
        of_batch = gradients(tf.constant(samples.batch(some)), tf.constant(right))
        found.append(dict(zip(keys, map(np.asarray, of_batch), strict=True)))
        report(Progress("weigh channels", min(start + BATCH, len(rows)), len(rows)))
    return found
