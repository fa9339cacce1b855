"""What a Keras model calls, one call after another, whichever Keras it is of.

Keras 2 and 3 keep the same facts under different names: a node of the model's graph is one call of
a layer, or of a plain function, on symbolic tensors. Models inside of the model are walked through
as well, once for each time they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Ref:
    """The output of a node that is in the graph already."""

    name: str
    """Of the node."""
    shape: tuple[int, ...]
    """Without the batch axis."""


@dataclass(frozen=True)
class Call:
    """One call of a layer or of a function."""

    name: str
    """What Keras calls the layer or the operation."""
    kind: str
    """Class of the layer; TensorFlow's symbol or Keras 3's class of a function."""
    layer: Any
    """The layer, or the Keras 3 operation, itself."""
    is_function: bool
    """Whether it is a function rather than a layer."""
    args: tuple[Any, ...]
    """As called, every symbolic tensor a `Ref` and every constant one a NumPy array."""
    kwargs: dict[str, Any]
    """The same."""
    shape: tuple[int, ...]
    """Of the output, without the batch axis."""

    @property
    def sources(self) -> tuple[Ref, ...]:
        """The tensors among the arguments, in their order."""
        return tuple(_refs((self.args, tuple(self.kwargs.values()))))


#: Adds one call to the graph; returns its output.
Add = Callable[[Call], Ref]


def walk(model: Any, inputs: list[Ref], add: Add) -> list[Ref]:
    """Hand every call of a model to `add`, in an order in which they can be done.

    Args:
        model: Of either Keras, Functional or Sequential, built.
        inputs: What the model is fed, in the order of `model.inputs`.
        add: Is told of each call.

    Returns:
        What the model gives, in the order of `model.outputs`.
    """
    functional = _functional(model)
    found = {id(t): ref for t, ref in zip(functional.inputs, inputs, strict=True)}
    for node in _nodes(functional):
        layer = getattr(node, "layer", None) or node.operation
        if type(layer).__name__ == "InputLayer":
            continue
        args, kwargs, outputs = _ends(node)
        resolve = _resolver(found)
        if is_model(layer):
            given = list(_refs((resolve(args), resolve(kwargs))))
            answers = walk(layer, given, add)
        else:
            answers = [
                add(
                    Call(
                        layer.name,
                        getattr(layer, "symbol", None) or type(layer).__name__,
                        layer,
                        _is_function(layer),
                        resolve(args),
                        resolve(kwargs),
                        shape_of(outputs[0]),
                    )
                )
            ] * len(outputs)
        found |= {id(t): ref for t, ref in zip(outputs, answers, strict=True)}
    return [found[id(t)] for t in functional.outputs]


def is_model(layer: Any) -> bool:
    """Whether it is a model of layers that can be walked through."""
    return hasattr(_functional(layer), "_nodes_by_depth")


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Of a symbolic tensor, without the batch axis; 0 stands for an axis that is not known."""
    return tuple(int(axis or 0) for axis in tuple(tensor.shape)[1:])


def _functional(model: Any) -> Any:
    """The model with a graph: of a Keras 3 Sequential, the one that it keeps inside."""
    return getattr(model, "_functional", None) or model


def _nodes(model: Any) -> Iterator[Any]:
    depths = model._nodes_by_depth
    for depth in sorted(depths, reverse=True):
        yield from depths[depth]


def _ends(node: Any) -> tuple[tuple[Any, ...], dict[str, Any], list[Any]]:
    """Arguments, keyword arguments and output tensors of a node of either Keras."""
    if hasattr(node, "arguments"):  # Keras 3
        return node.arguments.args, node.arguments.kwargs, list(node.output_tensors)
    outputs = node.outputs
    return node.call_args, node.call_kwargs, list(outputs) if _is_list(outputs) else [outputs]


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _is_function(layer: Any) -> bool:
    return type(layer).__name__ in ("TFOpLambda", "SlicingOpLambda") or not hasattr(
        layer, "get_weights"
    )


def _resolver(found: dict[int, Ref]) -> Callable[[Any], Any]:
    def resolve(value: Any) -> Any:
        if id(value) in found:
            return found[id(value)]
        if isinstance(value, dict):
            return {key: resolve(inner) for key, inner in value.items()}
        if _is_list(value):
            return tuple(resolve(inner) for inner in value)
        if hasattr(value, "numpy"):
            return np.asarray(value.numpy())
        return value

    return resolve


def _refs(value: Any) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, dict):
        yield from _refs(tuple(value.values()))
    elif _is_list(value):
        for inner in value:
            yield from _refs(inner)
