"""The steps of a recipe that make a network compute at fewer places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from converters.data.dataset import TRAIN
from converters.draft.draft import Draft, Materials
from converters.draft.trial_file import measure_before_and_after
from converters.graph.cost import macs, parameters
from converters.graph.node import INPUT, Graph
from converters.graph.resized_input import shape_of_samples
from converters.recipe.size_steps import Resolution, StemStride
from converters.resolution.sizes import with_smaller_input, with_wider_stem
from converters.training.trainable import folded_graph, trainable_graph


def reduce_resolution(draft: Draft, step: Resolution, materials: Materials) -> Draft:
    """Make the input of the model smaller; a training step has to follow.

    Args:
        draft: A draft that is not quantized.
        step: Share of each side to leave.
        materials: Samples with the split "train".

    Raises:
        ConversionError: The model does not take one picture or one series, or a layer does not take
            the new size; the message names it.
    """
    graph = folded_graph(draft)
    new = with_smaller_input(graph, step.ratio, str(materials.source.path))
    (node,) = (node for node in new.nodes if node.op == INPUT)
    sizes = {"input": [list(shape_of_samples(node)), list(node.shape)]}
    return _draft_to_train(draft, graph, new, sizes, materials)


def widen_stem_stride(draft: Draft, step: StemStride, materials: Materials) -> Draft:
    """Make the stride of the first convolution larger; a training step has to follow.

    Args:
        draft: A draft that is not quantized.
        step: Factor of the stride.
        materials: Samples with the split "train".

    Raises:
        ConversionError: The model has no such convolution, or a layer behind it does not take the
            new size; the message names it.
    """
    graph = folded_graph(draft)
    new, stem = with_wider_stem(graph, step.factor, str(materials.source.path))
    return _draft_to_train(draft, graph, new, {"layer": stem}, materials)


def _draft_to_train(
    draft: Draft, before: Graph, after: Graph, results: Mapping[str, Any], materials: Materials
) -> Draft:
    return replace(
        draft,
        graph=trainable_graph(after, materials.samples[TRAIN], materials),
        found={
            "macs": [macs(before), macs(after)],
            "parameters": [parameters(before), parameters(after)],
            "latency_us": measure_before_and_after(before, after, materials),
            **results,
        },
    )
