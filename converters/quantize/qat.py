"""Quantization-aware training: the model learns to live with the rounding of an int8 file.

The model is brought to its graph, so that nested models, shared layers, plain functions and
BatchNormalization wherever it stands are no matter. Its ranges are first measured on real samples;
then it is trained on with every weight and activation rounded as the file will round them. What is
written are weights that lie on the file's own grid, and the ranges that training found.
"""

from __future__ import annotations

from dataclasses import replace

from converters.dataset import TRAIN
from converters.draft import W8A8, Draft, Materials
from converters.errors import ConversionError
from converters.fine_tune import TrainingSettings, fine_tune
from converters.graph.build import build_model, weights_of
from converters.graph.node import with_weights
from converters.graph.read import read_graph
from converters.measure import measured_ranges
from converters.model_source import batch_one_function
from converters.preserve import preserving
from converters.quantize.fake_quant import (
    Wrapping,
    kernel_sizes,
    with_kernels,
    with_rounded_kernels,
)
from converters.quantize.ranges import rounding_of
from converters.steps import QatW8A8
from converters.teacher import Teacher


def train(draft: Draft, step: QatW8A8, materials: Materials) -> Draft:
    """Train the model on with fake quantization.

    Args:
        draft: A float Keras model, Sequential or Functional.
        step: Epochs, learning rate and batch size.
        materials: With the split "train".

    Raises:
        ConversionError: A layer cannot be trained so; the message names it.
    """
    source = materials.source
    if draft.keras_model is None:
        raise ConversionError(
            f"{source.path}: is a graph without Keras layers, which cannot be trained",
            "use the recipe ptq_w8a8",
        )
    graph = read_graph(draft.keras_model, str(source.path))
    rounding = rounding_of(graph, str(source.path))
    samples = materials.samples[TRAIN]
    start = measured_ranges(graph, rounding.learned, samples, materials.seed, materials.report)
    sizes = kernel_sizes(graph)
    scaled = with_kernels(graph, {key: 1 / size for key, size in sizes.items()})
    wrapping = Wrapping(rounding, start, sizes)
    model = build_model(scaled, wrapping)
    settings = TrainingSettings(
        step.epochs,
        step.learning_rate,
        step.batch_size,
        materials.seed,
        source.probabilities,
    )
    fine_tune(
        model,
        samples,
        settings,
        _teacher(step, materials),
        materials.report,
        callbacks=preserving(draft.keep),
    )
    trained = with_kernels(weights_of(scaled, model), sizes)
    written = build_model(
        with_weights(trained, with_rounded_kernels(trained)),
        Wrapping(rounding, wrapping.bounds(), {}),
    )
    return replace(
        draft,
        function=batch_one_function(lambda x: written(x, training=False), source.input_shape),
        keras_model=written,
        numbers=W8A8,
    )


def _teacher(step: QatW8A8, materials: Materials) -> Teacher | None:
    if step.teacher == "none":
        return None
    source = materials.source
    return Teacher(source.predict, source.probabilities, step.temperature, step.alpha)
