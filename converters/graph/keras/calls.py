"""The calls that a Keras model makes, one after another, for Keras 2 and Keras 3.

Both keep the same facts under different names: a node of the model's graph is one call of a layer,
or of a plain function, on symbolic tensors. The calls of models inside of the model are handed over
as well, once for each time such a model is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from converters.graph.builder import Ref, SourceLayer


@dataclass(frozen=True)
class Call:
    """One call of a layer or of a function."""

    name: str
    """Name that Keras gives the layer or the operation."""
    kind: str
    """Class of the layer; TensorFlow's symbol or Keras 3's class of a function."""
    layer: Any
    """The layer, or the Keras 3 operation, itself."""
    is_function: bool
    """Whether it is a function rather than a layer."""
    args: tuple[Any, ...]
    """Positional arguments, each symbolic tensor as a `Ref`, each constant one as a NumPy array."""
    kwargs: dict[str, Any]
    """Keyword arguments, each symbolic tensor as a `Ref`, each constant one as a NumPy array."""
    shape: tuple[int, ...]
    """Shape of the output, without the batch axis."""

    @property
    def sources(self) -> tuple[Ref, ...]:
        """The tensors among the arguments, in their order."""
        return tuple(_refs((self.args, tuple(self.kwargs.values()))))

    def with_sources(self, change: Callable[[Ref], Ref]) -> Call:
        """The call with other tensors among the arguments."""
        args, kwargs = _map_refs(self.args, change), _map_refs(self.kwargs, change)
        return replace(self, args=args, kwargs=kwargs)

    @property
    def source_layer(self) -> SourceLayer:
        """The layer as the builder knows it."""
        return SourceLayer(self.name, self.kind, self.layer)


#: Adds one call to the graph; returns its output.
Add = Callable[[Call], Ref]


def hand_over_calls(model: Any, inputs: list[Ref], add: Add) -> list[Ref]:
    """Hand every call of a model to `add`, in an order in which they can be done.

    Args:
        model: Model of Keras 2 or 3, Functional or Sequential, built.
        inputs: Inputs of the model, in the order of `model.inputs`.
        add: Function that gets each call.

    Returns:
        Outputs of the model, in the order of `model.outputs`.
    """
    functional = _functional(model)
    outputs_by_id = {id(t): ref for t, ref in zip(functional.inputs, inputs, strict=True)}
    for node in _nodes(functional):
        layer = getattr(node, "layer", None) or node.operation
        if type(layer).__name__ == "InputLayer":
            continue
        args, kwargs, outputs = _arguments_and_outputs(node)
        resolve = _resolver(outputs_by_id)
        if is_model(layer):
            arguments = list(_refs((resolve(args), resolve(kwargs))))
            answers = hand_over_calls(layer, arguments, add)
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
        outputs_by_id |= {id(t): ref for t, ref in zip(outputs, answers, strict=True)}
    return [outputs_by_id[id(t)] for t in functional.outputs]


def is_model(layer: Any) -> bool:
    """Whether it is a model whose layers Keras knows."""
    return hasattr(_functional(layer), "_nodes_by_depth")


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Shape of a symbolic tensor without its batch axis; 0 stands for an axis that is not known."""
    return tuple(int(axis or 0) for axis in tuple(tensor.shape)[1:])


def dtype_of(tensor: Any) -> str:
    """Type of a symbolic tensor, such as "int32"."""
    return str(getattr(tensor.dtype, "name", tensor.dtype))


def _functional(model: Any) -> Any:
    """The model with a graph: of a Keras 3 Sequential, the one that it keeps inside."""
    return getattr(model, "_functional", None) or model


def _nodes(model: Any) -> Iterator[Any]:
    depths = model._nodes_by_depth
    for depth in sorted(depths, reverse=True):
        yield from depths[depth]


def _arguments_and_outputs(node: Any) -> tuple[tuple[Any, ...], dict[str, Any], list[Any]]:
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


def _resolver(refs: dict[int, Ref]) -> Callable[[Any], Any]:
    def resolve(value: Any) -> Any:
        if id(value) in refs:
            return refs[id(value)]
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


def _map_refs(value: Any, change: Callable[[Ref], Ref]) -> Any:
    if isinstance(value, Ref):
        return change(value)
    if isinstance(value, dict):
        return {key: _map_refs(inner, change) for key, inner in value.items()}
    return tuple(_map_refs(inner, change) for inner in value) if _is_list(value) else value
