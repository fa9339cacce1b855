"""Compares a graph with the model that it was read from: an importer may be wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.fields import from_keras_outputs, select_field, to_keras_inputs
from converters.errors import ConversionError
from converters.graph.fold import spread_affines
from converters.graph.node import INPUT, Graph, Node
from converters.graph.whole_numbers import unrounded_nodes
from converters.sources.inputs_outputs import ModelTensor, field_names, noise_for

Array = npt.NDArray[Any]

#: Largest accepted difference, as a share of the largest number of the same output.
TOLERANCE = 1e-4
#: Largest accepted difference where every node agrees to `TOLERANCE` with the model's own inputs of
#: it: rounding of float32 that grows from layer to layer. MediaPipe's pose_landmark_full has 5e-4.
GROWTH = 1e-3
#: Largest probability of a sigmoid below which differences are no longer relative to it.
_LEAST_PROBABILITY = 0.01
#: Lowest and highest number of each random sample. Some activations bend far from 0.
_RANGES = ((0.0, 1.0), (-1.0, 1.0), (-4.0, 4.0))
#: Attribute of an added input: the node whose values it gets.
_VALUE_OF = "value_of"
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
    inner: Callable[[], Inner] | None = None,
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
        inner: Function that reads the values inside of the model; None where none are known.

    Returns:
        Largest difference of an output, as a share of the largest number of that output.

    Raises:
        ConversionError: The difference is larger than `TOLERANCE`, and either a node differs also
            with the model's own inputs, which the message names as far as `inner` knows them, or
            the difference is larger than `GROWTH`.
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
    place = ""
    if inner is not None:
        first, is_complete = _first_difference(inner(), inputs, batch)
        if first is None and is_complete and worst <= GROWTH:
            return worst
        if first is not None:
            place = f"; the first node that differs is {first.name!r} ({first.words})"
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


def _first_difference(
    inner: Inner, inputs: Sequence[ModelTensor], batch: Array
) -> tuple[Node | None, bool]:
    """The first node that differs if it gets the model's own values, or values made of them.

    Returns:
        The node, or None; and whether the values of all outputs are known.
    """
    values = inner.values(batch)
    names = [node.name for node in inner.graph.nodes if node.name in values and node.inputs]
    if not names:
        return None, False
    apart = _apart(spread_affines(replace(inner.graph, outputs=tuple(names))), names)
    fields = dict(zip(inner.graph.inputs, field_names(inputs) or ("",), strict=True))
    own = _run_apart(apart, {name: select_field(batch, fields[name]) for name in fields}, values)
    nodes = inner.graph.by_name()
    differs = (
        nodes[name]
        for name, array in zip(names, own, strict=True)
        if difference(array, values[name], _least_scale(nodes[name])) > TOLERANCE
    )
    return next(differs, None), set(inner.graph.outputs) <= set(names)


def _apart(graph: Graph, names: Sequence[str]) -> Graph:
    """The graph whose nodes take new inputs in the place of what nodes of these names give."""
    taken = set(graph.by_name())
    inputs: dict[str, str] = {}
    for name in names:
        inputs[name] = next(
            wish
            for wish in (f"{name}_value{number or ''}" for number in range(len(taken) + 1))
            if wish not in taken
        )
        taken.add(inputs[name])
    used = {name for node in graph.nodes for name in node.inputs} & set(names)
    nodes = []
    for node in graph.nodes:
        nodes.append(replace(node, inputs=tuple(inputs.get(name, name) for name in node.inputs)))
        if node.name in used:
            nodes.append(Node(inputs[node.name], INPUT, (), node.shape, {_VALUE_OF: node.name}))
    return replace(graph, nodes=tuple(nodes))


def _run_apart(
    graph: Graph, of_model: Mapping[str, Array], values: Mapping[str, Array]
) -> list[Array]:
    """Outputs of a graph of `_apart`."""
    from converters.graph.build import build_model

    nodes = [node for node in graph.nodes if node.op == INPUT]
    arrays = [
        values[str(node.attributes[_VALUE_OF])]
        if _VALUE_OF in node.attributes
        else of_model[node.name]
        for node in nodes
    ]
    answers = build_model(graph)(arrays if len(arrays) > 1 else arrays[0], training=False)
    several = answers if isinstance(answers, (list, tuple)) else [answers]
    return [np.asarray(answer) for answer in several]
