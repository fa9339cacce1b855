"""Gradients of the loss for every kernel, from which Taylor's importance is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from converters.data.dataset import Samples
from converters.data.fields import to_keras_inputs
from converters.data.split import balanced_choice
from converters.graph.build import build_model, variables_of
from converters.graph.node import Graph
from converters.progress import Progress, Report
from converters.prune_channels.channels import PRODUCERS
from converters.sources.inputs_outputs import Probabilities
from converters.training.loss import output_losses, select_trainable

#: Number of batches and of samples in each; more change the order of the channels little.
BATCHES, BATCH = 20, 64


def kernel_gradients(
    graph: Graph, samples: Samples, probabilities: Probabilities, seed: int, report: Report
) -> list[dict[str, npt.NDArray[np.float32]]]:
    """Compute the gradient of every kernel for several batches.

    Args:
        graph: Trained model.
        samples: Samples with labels or right answers; some of every class are used.
        probabilities: Whether the model's scores are probabilities, not logits.
        seed: Seed that decides which samples are used.
        report: Function that receives the progress after each batch.

    Returns:
        For each batch key of weights to the gradient, float32, in the shape of the kernel.
    """
    model = build_model(graph)
    trained, from_logits = select_trainable(model, probabilities, samples.task)
    losses = output_losses(from_logits, None, samples.task)
    keys = [key for key, nodes in graph.uses().items() if nodes[0].op in PRODUCERS]
    variables = [variables_of(graph, model, key)["kernel"] for key in keys]

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def gradients(batch: Any, right: Any) -> Any:
        with tf.GradientTape() as tape:
            answers = trained(batch, training=False)
            outputs = answers if isinstance(answers, (list, tuple)) else [answers]
            value = tf.add_n(
                [loss(y, x) for loss, y, x in zip(losses, right, outputs, strict=True)]
            )
        return tape.gradient(value, variables)

    rows = balanced_choice(samples.labels, BATCHES * BATCH, seed)
    random = np.random.default_rng(seed)
    gradients_of_batches = []
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        samples_of_outputs = samples.subset(some).by_output().values()
        right = [_right(samples_of_output, random) for samples_of_output in samples_of_outputs]
        arrays = to_keras_inputs(samples.batch(some))
        if isinstance(arrays, list):
            batch = [tf.constant(array) for array in arrays]
        else:
            batch = tf.constant(arrays)
        of_batch = gradients(batch, right)
        gradients_of_batches.append(dict(zip(keys, map(np.asarray, of_batch), strict=True)))
        report(Progress("weigh channels", min(start + BATCH, len(rows)), len(rows)))
    return gradients_of_batches


def _right(samples: Samples, random: np.random.Generator) -> Any:
    """Right answers of one output in the form of `y_true` of `Loss`.

    At its own answers a model has no gradient. Then answers are drawn at random around them, in
    line with the probability model of a regression. The result is the Fisher information, not the
    empirical one (Kunstner et al., "Limitations of the Empirical Fisher Approximation", 2019,
    section 2).
    """
    right = samples.right_answers(slice(None)).astype(np.float32)
    if samples.task.is_classification:
        shares = [] if samples.shares is None else [samples.shares]
        return tf.constant(np.concatenate([right[:, None], *shares], axis=1))
    if samples.task.own_answers:
        right += random.normal(0, max(float(right.std()), 1e-6), right.shape).astype(np.float32)
    return tf.constant(right)
