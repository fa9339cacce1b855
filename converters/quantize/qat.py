"""Quantization-aware training, by TensorFlow Model Optimization, of a tf-keras model.

The model is trained on with every weight and activation rounded as the file will round them, so
that it learns to live with it; the ranges that training found go into the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras import quantize as tfmot
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit.default_8bit_quantize_configs import (  # noqa: E501
    NoOpQuantizeConfig,
)

from converters.dataset import TRAIN, Samples
from converters.draft import Draft, Materials
from converters.errors import ConversionError
from converters.model_source import LoadedModel, batch_one_function
from converters.progress import Progress, Report
from converters.recipe import Qat

_HINT = "use the recipe ptq_w8a8, which takes every layer that TFLite has"
_REPORT_EVERY = 10

#: Their kernels put out the range that they take in, yet TFMOT gives the output a range of its own
#: (default_8bit_quantize_registry.py), which leaves a QUANTIZE in the file.
_SAME_RANGE = (
    tf_keras.layers.AveragePooling1D,
    tf_keras.layers.AveragePooling2D,
    tf_keras.layers.UpSampling2D,
)


def train(draft: Draft, step: Qat, materials: Materials) -> Draft:
    """Train the model on with fake quantization.

    Args:
        draft: A float tf-keras model, Sequential or Functional.
        step: Epochs, learning rate and batch size.
        materials: With the split "train".

    Raises:
        ConversionError: A layer cannot be trained so; the message names it.
    """
    tf_keras.utils.set_random_seed(materials.seed)
    model = _fake_quantized(materials.source, draft.keras_model)
    model.compile(
        optimizer=tf_keras.optimizers.Adam(step.learning_rate),
        loss=_loss(materials.source),
        metrics=["accuracy"],
    )
    samples = materials.samples[TRAIN]
    batches = tf.data.Dataset.from_generator(
        lambda: _shuffled(samples, step, materials.seed),
        output_signature=(
            tf.TensorSpec((None, *materials.source.input_shape), tf.float32),
            tf.TensorSpec((None, 1), tf.int64),
        ),
    ).prefetch(2)
    steps = -(-len(samples) // step.batch_size)
    model.fit(
        batches,
        epochs=step.epochs,
        steps_per_epoch=steps,
        verbose=0,
        callbacks=[_Reporter(steps, step.epochs, materials.report)],
    )
    return replace(
        draft,
        function=batch_one_function(
            lambda x: model(x, training=False), materials.source.input_shape
        ),
        keras_model=model,
        integer=True,
    )


def _shuffled(samples: Samples, step: Qat, seed: int) -> Iterator[tuple[Any, Any]]:
    random = np.random.default_rng(seed)
    for _ in range(step.epochs):
        order = random.permutation(len(samples))
        for start in range(0, len(order), step.batch_size):
            rows = order[start : start + step.batch_size]
            yield samples.batch(rows), samples.labels[rows][:, None]


def _loss(source: LoadedModel) -> Any:
    from_logits = not source.probabilities
    if source.outputs == 1:
        return tf_keras.losses.BinaryCrossentropy(from_logits=from_logits)
    return tf_keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)


def _fake_quantized(source: LoadedModel, model: Any) -> Any:
    for layer in model.layers:
        if isinstance(layer, tf_keras.Model):
            raise ConversionError(
                f"{source.path}: layer {layer.name!r} is a model inside of the model, which "
                "quantization-aware training does not take yet",
                _HINT,
            )
    try:
        # A copy, as annotating ties the layers themselves into another graph.
        copy = tf_keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        copy = tf_keras.models.clone_model(copy, clone_function=_shared_range)
        with tfmot.quantize_scope():
            return tfmot.quantize_apply(tfmot.quantize_annotate_model(copy))
    except (RuntimeError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise ConversionError(
            f"{source.path}: {_refused_layer(model, str(error))} cannot be trained with fake "
            f"quantization: {_first_sentence(str(error))}",
            _HINT,
        ) from error


def _shared_range(layer: Any) -> Any:
    """The layer itself, or marked to keep the range of its input."""
    if isinstance(layer, _SAME_RANGE):
        return tfmot.quantize_annotate_layer(layer, NoOpQuantizeConfig())
    return layer


def _refused_layer(model: Any, message: str) -> str:
    """The layer that TFMOT's message is about, as far as it can be told."""
    named = re.search(r"[Ll]ayer ([\w/]+)\s*:", message)
    for layer in model.layers:
        # Plain TensorFlow functions in the graph make TFMOT fail later, and about another layer.
        is_named = named is not None and layer.name == named.group(1)
        if is_named or type(layer).__name__ in ("TFOpLambda", "SlicingOpLambda"):
            return f"layer {layer.name!r} ({type(layer).__name__})"
    return "the model"


def _first_sentence(message: str) -> str:
    return message.strip().splitlines()[0].split(". ")[0] if message.strip() else "no reason given"


class _Reporter(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Reports every few batches."""

    def __init__(self, steps: int, epochs: int, report: Report) -> None:
        super().__init__()
        self._steps, self._epochs, self._report = steps, epochs, report
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Remember which epoch it is."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Report the loss and the accuracy so far."""
        done = self._epoch * self._steps + batch + 1
        total = self._steps * self._epochs
        if done % _REPORT_EVERY and done != total:
            return
        logs = logs or {}
        detail = (
            f"epoch {self._epoch + 1}/{self._epochs}, loss {logs.get('loss', 0):.4f}, "
            f"accuracy {logs.get('accuracy', 0):.4f}"
        )
        self._report(Progress("train", done, total, detail))
