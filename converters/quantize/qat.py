"""Quantization-aware training: the model learns to live with the rounding of an int8 file.

The training uses the graph of the model, so that nested models, shared layers, plain functions and
BatchNormalization at any place are supported. First the ranges are measured on real samples. Then
the training continues, and every weight and activation is rounded as the file will round it. The
file contains weights on its own grid and the ranges that the training learned. It is compared with
the trained model before it is returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from converters.data.dataset import TRAIN, VALIDATION
from converters.data.resized_samples import resize_samples
from converters.draft.draft import MIXED, W8A8, Draft, Materials
from converters.draft.emit import convert_function
from converters.draft.node_statistics import measure_node_ranges
from converters.errors import ConversionError
from converters.graph.build import build_model, weights_of
from converters.graph.node import Graph, with_weights
from converters.graph.resized_input import resized_shape, without_resize
from converters.graph.unroll import unroll_graph
from converters.progress import Progress
from converters.quantize.divergence import (
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
from converters.quantize.graph_masks import limit_graph_masks
from converters.quantize.kept_nodes import KeptNodes, keep_nodes
from converters.quantize.layer_differences import Simulation
from converters.quantize.layer_names import float_notes
from converters.quantize.ranges import Rounding, decide_rounding, float_nodes
from converters.recipe.training_steps import QatW8A8
from converters.tflite.unpacked import with_shared_buffers
from converters.training.automatic import train_on
from converters.training.parallel import scope
from converters.training.preserve import preserve_callbacks
from converters.training.teachers import make_teacher
from converters.training.trainable import folded_graph


def train_quantized(draft: Draft, step: QatW8A8, materials: Materials) -> Draft:
    """Continue the training of the model with fake quantization.

    Args:
        draft: A draft that is not quantized.
        step: Epochs, learning rate and batch size.
        materials: Samples with the split "train".

    Raises:
        ConversionError: A layer cannot be trained with fake quantization, or the answers of the
            file differ from those of the trained model; the message names the layer.
    """
    graph, rounding, start = _prepare(draft, materials)
    kept = keep_nodes(graph, step)
    # What would refuse the file after training refuses it before.
    materials.report(Progress("try the conversion", 0, 0))
    untrained = with_weights(graph, round_kernels(graph, kept.float_weights))
    _convert_and_compare(untrained, rounding, start, kept, materials)
    sizes = kernel_sizes(graph)
    sizes = {key: size for key, size in sizes.items() if key not in kept.float_weights}
    scaled_graph = scale_kernels(graph, {key: 1 / size for key, size in sizes.items()})
    with scope(materials.strategy):
        wrapping = Wrapping(rounding, start, sizes)
        model = build_model(scaled_graph, wrapping)
    teacher = make_teacher(step, materials, model) if step.is_taught else None
    facts = train_on(model, step, materials, "train", teacher, preserve_callbacks(draft.keep))
    facts |= teacher.facts if teacher is not None else {}
    trained_graph = scale_kernels(weights_of(scaled_graph, model), sizes)
    on_grid = with_weights(trained_graph, round_kernels(trained_graph, kept.float_weights))
    content, comparison = _convert_and_compare(
        on_grid, rounding, wrapping.bounds(), kept, materials
    )
    notes = _float_notes(graph)
    if kept.nodes:
        content, kept_notes = kept.add_int16(content, graph, rounding, wrapping.bounds())
        notes += kept_notes
    return replace(
        draft,
        graph=on_grid,
        numbers=MIXED if notes else W8A8,
        content=content,
        warnings=(*draft.warnings, *notes),
        found={**facts, **comparison},
    )


def _float_notes(graph: Graph) -> tuple[str, ...]:
    names = [repr(node.name) for node in float_nodes(graph)]
    return float_notes(names, "layer" if len(names) == 1 else "layers") if names else ()


def try_conversion(draft: Draft, step: QatW8A8, materials: Materials) -> Draft:
    """Convert the untrained model, so that a layer that cannot be quantized is named at once.

    Args:
        draft: A draft that is not quantized.
        step: Names of layers that are kept; how the step trains has no part in it.
        materials: A few samples with the split "train".

    Returns:
        The draft that was given.

    Raises:
        ConversionError: A layer cannot be trained with fake quantization, or not be converted.
    """
    graph, rounding, bounds = _prepare(draft, materials)
    kept = keep_nodes(graph, step)
    on_grid = with_weights(graph, round_kernels(graph, kept.float_weights))
    _convert(on_grid, rounding, bounds, kept, materials)
    return draft


def _prepare(
    draft: Draft, materials: Materials
) -> tuple[Graph, Rounding, Mapping[str, tuple[float, float]]]:
    """Graph to train, places where it is rounded, and the first range of each."""
    graph = unroll_graph(folded_graph(draft), str(materials.source.path))
    rounding = decide_rounding(graph, str(materials.source.path))
    ranges = measure_node_ranges(
        graph, rounding.learned_nodes, materials.samples[TRAIN], materials.seed, materials.report
    )
    limited_graph, bounds = limit_graph_masks(graph, rounding, ranges)
    return limited_graph, rounding, _widen_shared(limited_graph, rounding, bounds)


def _widen_shared(
    graph: Graph, rounding: Rounding, bounds: Mapping[str, tuple[float, float]]
) -> Mapping[str, tuple[float, float]]:
    """Ranges in which that of a shared layer holds the numbers of all its uses.

    A layer has one wrapper, which rounds with the range of the first use.
    """
    widened = dict(bounds)
    for first, *others in graph.uses().values():
        owners = [rounding.ranges.get(node.name, "") for node in (first, *others)]
        shared = [bounds[owner] for owner in owners if owner in bounds]
        if owners[0] in bounds:
            widened[owners[0]] = min(low for low, _ in shared), max(high for _, high in shared)
    return widened


def _convert(
    on_grid: Graph,
    rounding: Rounding,
    bounds: Mapping[str, tuple[float, float]],
    kept: KeptNodes,
    materials: Materials,
) -> tuple[bytes, Simulation]:
    """Convert to a file; also the simulation that the file has to agree with."""
    source = materials.source
    on_grid = without_resize(on_grid)
    rounded_model = build_model(on_grid, Wrapping(rounding, bounds, {}))
    exported_model = rounded_model
    if rounding.rounded_twice:
        exported_model = build_model(on_grid, Wrapping(rounding, bounds, {}, twice=False))
    function = source.function_of(lambda x: exported_model(x, training=False), on_grid)
    simulation = Simulation(on_grid, rounding, bounds, rounded_model)
    # The converter writes the kernel of an unrolled layer once for each step.
    content = with_shared_buffers(convert_function(function, materials.report, W8A8))
    check_inside(simulation, content, str(source.path))
    return kept.put_into(content, simulation), simulation


def _convert_and_compare(
    on_grid: Graph,
    rounding: Rounding,
    bounds: Mapping[str, tuple[float, float]],
    kept: KeptNodes,
    materials: Materials,
) -> tuple[bytes, dict[str, Any]]:
    """Convert to a file and compare it with the simulation; the facts are for conversion.json."""
    source, report = materials.source, materials.report
    content, simulation = _convert(on_grid, rounding, bounds, kept, materials)
    report(Progress("compare with the file", 0, 0))
    try:
        difference = measure_difference(
            simulation,
            content,
            resize_samples(materials.samples[VALIDATION], resized_shape(on_grid)),
            source.probabilities,
            materials.seed,
        )
    except ConversionError as error:
        raise ConversionError(
            f"{source.path}: in 8 bits, {str(error).partition(': ')[2]}",
            "Numbers of very different size in one input are a common cause: bring them to one "
            "size before the model, or use mixed_w8a8, which leaves layers in floats.",
        ) from error
    check_faithful(difference, str(source.path))
    return content, {
        "compared_samples": difference.samples,
        "same_class": round(difference.agreed, 4),
        "farthest_layer_steps": (
            round(max(difference.steps.values()), 3) if difference.steps else None
        ),
    }
