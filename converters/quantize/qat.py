"""Quantization-aware training: the model learns to live with the rounding of an int8 file.

The model is brought to its graph, so that nested models, shared layers, plain functions and
BatchNormalization wherever it stands are no matter. Its ranges are first measured on real samples;
then it is trained on with every weight and activation rounded as the file will round them. What is
written are weights that lie on the file's own grid, and the ranges that training found; the file is
held against what was trained before anybody gets it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from converters.data.dataset import TRAIN, VALIDATION
from converters.draft.draft import W8A8, Draft, Materials
from converters.draft.emit import convert_function
from converters.draft.node_statistics import measure_node_ranges
from converters.graph.build import build_model, weights_of
from converters.graph.node import with_weights
from converters.progress import Progress
from converters.quantize.divergence import (
    Simulation,
    check_faithful,
    check_inside,
    measure_difference,
)
from converters.quantize.fake_quant import (
    Wrapping,
    kernel_sizes,
    round_kernels,
    scale_kernels,
)
from converters.quantize.ranges import decide_rounding
from converters.recipe.training_steps import QatW8A8
from converters.training.automatic import train_on
from converters.training.parallel import scope
from converters.training.preserve import preserve_callbacks
from converters.training.teachers import describe_teachers, make_teacher
from converters.training.trainable import folded_graph


def train(draft: Draft, step: QatW8A8, materials: Materials) -> Draft:
    """Train the model on with fake quantization.

    Args:
        draft: A draft that is not quantized.
        step: Epochs, learning rate and batch size.
        materials: With the split "train".

    Raises:
        ConversionError: A layer cannot be trained so, or the file does not answer as what was
            trained; the message names the layer.
    """
    source = materials.source
    graph = folded_graph(draft)
    rounding = decide_rounding(graph, str(source.path))
    samples = materials.samples[TRAIN]
    start = measure_node_ranges(
        graph, rounding.learned_nodes, samples, materials.seed, materials.report
    )
    sizes = kernel_sizes(graph)
    scaled = scale_kernels(graph, {key: 1 / size for key, size in sizes.items()})
    with scope(materials.strategy):
        wrapping = Wrapping(rounding, start, sizes)
        model = build_model(scaled, wrapping)
    teacher = make_teacher(step, materials, model) if step.is_taught else None
    found = train_on(model, step, materials, "train", teacher, preserve_callbacks(draft.keep))
    found |= describe_teachers(step)
    trained = scale_kernels(weights_of(scaled, model), sizes)
    on_grid = with_weights(trained, round_kernels(trained))
    bounds = wrapping.bounds()
    written = build_model(on_grid, Wrapping(rounding, bounds, {}))
    exported = written
    if rounding.rounded_twice:
        exported = build_model(on_grid, Wrapping(rounding, bounds, {}, twice=False))
    function = source.function_of(lambda x: exported(x, training=False))
    simulated = Simulation(on_grid, rounding, bounds, written)
    content, comparison = _as_file(function, draft.io, simulated, materials)
    return replace(
        draft, graph=on_grid, numbers=W8A8, content=content, found={**found, **comparison}
    )


def _as_file(
    function: Any, io: str, simulated: Simulation, materials: Materials
) -> tuple[bytes, dict[str, Any]]:
    """The file, which was seen to answer as what was trained, and how near it comes."""
    source, report = materials.source, materials.report
    content = convert_function(function, report, W8A8, io)
    check_inside(simulated, content, str(source.path))
    report(Progress("compare with the file", 0, 0))
    apart = measure_difference(
        simulated,
        content,
        materials.samples[VALIDATION],
        source.probabilities,
        materials.seed,
    )
    check_faithful(apart, str(source.path))
    return content, {
        "compared_samples": apart.samples,
        "same_class": round(apart.agreed, 4),
        "farthest_layer_steps": round(max(apart.steps.values(), default=0.0), 3),
    }
