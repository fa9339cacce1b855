"""The steps of a recipe that write kernels as sums of products."""

from __future__ import annotations

from dataclasses import replace

from converters.draft.draft import Draft, Materials
from converters.errors import ConversionError
from converters.graph.cost import macs
from converters.recipe.layer_steps import LowRank, Separable
from converters.replace_layers.choose import choose_versions
from converters.replace_layers.decompose import (
    LOW_RANK,
    SEPARABLE,
    Decomposition,
    versions_of,
    with_versions,
)
from converters.replace_layers.replacement import finish_replacement
from converters.training.trainable import folded_graph

#: Largest difference between the share of the MACs that is left and the one that was requested,
#: without a warning.
_NEAR = 0.05


def replace_by_low_rank(draft: Draft, step: LowRank, materials: Materials) -> Draft:
    """Make two small layers of Dense layers and 1×1 convolutions; a training step has to follow.

    Args:
        draft: A draft that is not quantized.
        step: Share of the MACs to leave, and the divisor of the ranks.
        materials: Samples with the split "train".

    Raises:
        ConversionError: No layer has a cheaper version.
    """
    return _decompose(draft, LOW_RANK, step.macs_ratio, step.multiple, materials)


def replace_by_separable(draft: Draft, step: Separable, materials: Materials) -> Draft:
    """Make depthwise and 1×1 convolutions of convolutions; a training step has to follow.

    Args:
        draft: A draft that is not quantized.
        step: Share of the MACs to leave.
        materials: Samples with the split "train".

    Raises:
        ConversionError: No convolution has a cheaper version.
    """
    return _decompose(draft, SEPARABLE, step.macs_ratio, 1, materials)


def _decompose(
    draft: Draft, way: Decomposition, ratio: float, multiple: int, materials: Materials
) -> Draft:
    graph = folded_graph(draft)
    whole = macs(graph)
    costs, versions = versions_of(graph, way, multiple)
    choice = choose_versions(costs, versions, (1 - ratio) * whole)
    if not choice:
        raise ConversionError(
            f"{materials.source.path}: has no layer that {way.name} makes cheaper: none is "
            f"{way.layers} and large enough",
            "Use the step `channels` in its place: it makes layers narrower.",
        )
    layers = [
        {"layer": version.layer, "rank": version.rank, "loss": round(version.loss, 5)}
        for version in choice
    ]
    new = with_versions(graph, way, choice)
    left = macs(new) / whole
    warnings = draft.warnings
    if abs(left - ratio) > _NEAR:
        warnings += (
            f"{left:.0%} of the MACs are left, {ratio:.0%} were requested: the layers that "
            f"{way.name} can replace lead no nearer",
        )
    return replace(
        finish_replacement(draft, graph, new, {"replaced": layers}, materials), warnings=warnings
    )
