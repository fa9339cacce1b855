"""The step of a recipe that replaces activation functions by cheaper ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from converters.draft.draft import Draft, Materials
from converters.errors import ConversionError
from converters.graph.node import ACTIVATION, Graph
from converters.recipe.layer_steps import ReplaceActivations
from converters.replace_layers.replacement import finish_replacement
from converters.training.trainable import folded_graph

#: Functions that are replaced where the recipe names none: kernels compute them with tables or
#: floats. Gates such as `sigmoid` and `tanh` mean something else than a rectifier does.
_SMOOTH = ("swish", "gelu", "elu", "selu", "softplus")


def replace_activations(draft: Draft, step: ReplaceActivations, materials: Materials) -> Draft:
    """Replace activation functions; a training step has to follow.

    Args:
        draft: A draft that is not quantized.
        step: Functions to replace, and the one in their place.
        materials: Samples with the split "train".

    Raises:
        ConversionError: The model has none of the functions.
    """
    graph = folded_graph(draft)
    functions = step.replace or _SMOOTH
    counts = Counter(
        node.attributes["function"]
        for node in graph.nodes
        if node.op == ACTIVATION and node.attributes["function"] != step.to
    )
    _refuse_missing(step, counts, str(materials.source.path))
    new = with_activations(graph, {name: step.to for name in functions})
    layers = {name: counts[name] for name in functions if counts[name]}
    return finish_replacement(draft, graph, new, {"replaced": layers, "by": step.to}, materials)


def with_activations(graph: Graph, substitutes: dict[str, str]) -> Graph:
    """Give activations other functions.

    Args:
        graph: The graph.
        substitutes: Name of a function without parameters, or whose parameters are dropped, to the
            name of the one in its place.
    """
    nodes = tuple(
        replace(node, attributes={"function": substitutes[node.attributes["function"]]})
        if node.op == ACTIVATION and node.attributes["function"] in substitutes
        else node
        for node in graph.nodes
    )
    return replace(graph, nodes=nodes)


def _refuse_missing(step: ReplaceActivations, counts: Counter[str], origin: str) -> None:
    functions = step.replace or _SMOOTH
    missing = [name for name in functions if not counts[name]]
    if len(missing) < len(functions) and not (step.replace and missing):
        return
    others = ", ".join(sorted(counts)) or f"none but {step.to}"
    raise ConversionError(
        f"{origin}: has no activation {' or '.join(missing)} that {step.to} could replace; its "
        f"functions are {others}",
        "Name one of them in `replace`, or use a recipe without this step.",
    )
