"""Compares a graph with the model that it was read from: an importer may be wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.fields import (
    from_keras_outputs,
    join_fields,
    select_field,
    to_keras_inputs,
)
from converters.errors import ConversionError
from converters.graph.fold import spread_affines
from converters.graph.node import Graph, Node
from converters.graph.whole_numbers import unrounded_nodes
from converters.sources.inputs_outputs import ModelTensor, field_names, noise_for

Array = npt.NDArray[Any]

#: Largest accepted difference, as a share of the largest number of the same output.
TOLERANCE = 1e-4
#: Largest probability of a sigmoid below which differences are no longer relative to it.
_LEAST_PROBABILITY = 0.01
#: Lowest and highest number of each random sample. Some activations bend far from 0.
_RANGES = ((0.0, 1.0), (-1.0, 1.0), (-4.0, 4.0))
_HINT = (
    "Report the model with this message: kedge reads it wrongly. A Keras model, a SavedModel or a "
    ".tflite can still go through ptq_w8a8, which does not need the graph."
)


@dataclass(frozen=True)
class Inner:
    """Values inside of a model, to find out where a graph begins to differ from it."""

    graph: Graph
    """The graph before it was folded: folding changes what the values inside mean."""
    values: Callable[[Array], Mapping[str, Array]]
    """Function of a batch (n, *shape), as for the model's own answers, to the outputs of nodes by
    their names in `graph`: float32, shape (n, *shape of the node). Nodes may be missing."""


def check_import(
    path: Path,
    graph: Graph,
    inputs: Sequence[ModelTensor],
    outputs: Sequence[ModelTensor],
    answers: Callable[[Array], Array],
    inner: Inner | None = None,
) -> float:
    """Run random samples through a graph and through the model that it was read from.

    The graph gets all samples as one batch, so that a graph that mixes samples is found, too.

    Args:
        path: Model that the graph was read from, for messages.
        graph: Folded graph.
        inputs: Inputs of the model, in the order of the graph's.
        outputs: Outputs of the model, in the order of the graph's.
        answers: Function of a batch (n, *shape) to the model's own answers (n, *shape), one sample
            after another; of several inputs or outputs arrays with a field for each.
        inner: Values inside of the model; None where none are known.

    Returns:
        Largest difference of an output, as a share of the largest number of that output.

    Raises:
        ConversionError: The difference is larger than `TOLERANCE`; the message names the first node
            that differs, as far as `inner` knows it.
    """
    unrounded = unrounded_nodes(graph)
    batch = random_samples(
        inputs,
        [
            tensor.name
            for name, tensor in zip(graph.inputs, inputs, strict=True)
            if name in unrounded
        ],
    )
    own, reference = _run_graph(graph, batch, field_names(outputs)), answers(batch)
    nodes = graph.by_name()
    worst = max(
        difference(
            select_field(own, name), select_field(reference, name), _least_scale(nodes[node])
        )
        for node, name in zip(graph.outputs, field_names(outputs) or ("",), strict=True)
    )
    if worst <= TOLERANCE:
        return worst
    place = "" if inner is None else _first_difference(inner, batch)
    raise ConversionError(
        f"{path}: the graph that kedge read from it gives other answers than the model: the "
        f"difference is {worst:.2g} of the largest answer, more than {TOLERANCE:g}{place}",
        _HINT,
    )


def random_samples(inputs: Sequence[ModelTensor], choosing: Collection[str] = ()) -> Array:
    """Make random samples of several ranges, always the same ones.

    Args:
        inputs: Inputs of the model.
        choosing: Names of the inputs that choose rows of a table; these get 0 and 1.

    Returns:
        The type of the input, shape (n, *shape of the input); of several inputs a field for each.
    """
    rows = []
    for place, (low, high) in enumerate(_RANGES):
        noise = noise_for(inputs, len(_RANGES), low, high)
        for field in set(choosing) & set(noise.dtype.names or choosing):
            numbers = select_field(noise, field if noise.dtype.names else "")
            numbers[...] = numbers > (low + high) / 2
        rows.append(noise[place : place + 1])
    return np.concatenate(rows)


def _least_scale(node: Node) -> float:
    """Number that differences of an output are at least divided by.

    A runtime computes a sigmoid exactly to about 1e-7 of 1, also where every answer is tiny.
    """
    return _LEAST_PROBABILITY if node.attributes.get("function") == "sigmoid" else 1e-30


def difference(own: Array, reference: Array, least_scale: float = 1e-30) -> float:
    """Largest difference of two arrays, as a share of the largest number of the second.

    Args:
        own: Numbers of any real type.
        reference: Numbers of any real type, in the shape of `own`. Numbers that are not finite must
            be so in both.
        least_scale: Smallest number that the difference is divided by.

    Returns:
        Difference; infinity where the shapes differ, or one is finite where the other is not.
    """
    if own.shape != reference.shape:
        return float("inf")
    finite = np.isfinite(reference)
    if not np.array_equal(finite, np.isfinite(own)):
        return float("inf")
    first, second = own[finite].astype(np.float64), reference[finite].astype(np.float64)
    if not second.size:
        return 0.0
    return float(np.abs(first - second).max() / max(np.abs(second).max(), least_scale))


def _run_graph(graph: Graph, batch: Array, names: Sequence[str]) -> Array:
    """Answers of the graph to a batch: (n, ...), with a field for each of several names."""
    from converters.graph.build import build_model

    return from_keras_outputs(build_model(graph)(to_keras_inputs(batch), training=False), names)


def _first_difference(inner: Inner, batch: Array) -> str:
    """Words about the first node whose output differs from the model's own; "" for none."""
    graph, values = inner.graph, inner.values(batch)
    nodes = [node for node in graph.nodes if node.name in values and node.inputs]
    names = tuple(node.name for node in nodes)
    if not names:
        return ""
    spread = spread_affines(replace(graph, outputs=names))
    own = _run_graph(spread, batch, names if len(names) > 1 else ())
    arrays = own if len(names) > 1 else join_fields({names[0]: own})
    for node in nodes:
        if difference(arrays[node.name], values[node.name]) > TOLERANCE:
            return f"; the first node that differs is {node.name!r} ({node.words})"
    return ""
