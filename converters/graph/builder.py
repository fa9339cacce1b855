"""A graph while a model is being read: nodes are added one after another. Knows no source."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.errors import LayerOutsideGraphError
from converters.graph.node import (
    ACTIVATION,
    AFFINE,
    CAST,
    GRU,
    INPUT,
    LSTM,
    RNN,
    Graph,
    Node,
    Weights,
)
from converters.graph.recurrent import Recurrence, recurrent_shape
from converters.graph.whole_numbers import whole_dtype

#: Size from which on an added number masks scores.
MASKS_FROM = 1e3
_HINT = (
    "Replace the layer by layers that kedge represents (docs/coverage.md), or use a recipe that "
    "does not train: ptq_w8a8, mixed_w8a8 (floats where 8 bits cannot be) or ptq_f16."
)


@dataclass(frozen=True)
class Ref:
    """The output of a node that is in the graph already."""

    name: str
    """Name of the node."""
    shape: tuple[int, ...]
    """Shape of the output, without the batch axis."""


@dataclass(frozen=True)
class SourceLayer:
    """A layer, or an operation, of the model that is being read."""

    name: str
    """Name of the layer in the source; messages use it, and its nodes are called after it."""
    kind: str
    """Kind of layer in words of the source, such as "Conv2D"; messages use it."""
    owner: Hashable
    """Owner of the weights. Two layers of one owner are one layer that is used twice. The builder
    keeps a reference to the owner, so that an identity is never used again."""


class GraphBuilder:
    """Nodes and weights that were read so far."""

    def __init__(self, origin: str) -> None:
        """Begin with nothing.

        Args:
            origin: Name of the model in messages.
        """
        self.origin = origin
        self._nodes: dict[str, Node] = {}
        self._weights: dict[str, Weights] = {}
        self._keys: dict[tuple[Hashable, str], str] = {}

    def __contains__(self, name: str) -> bool:
        """Whether a node of this name was added."""
        return name in self._nodes

    def add(
        self,
        name: str,
        op: str,
        inputs: tuple[Ref, ...],
        shape: tuple[int, ...],
        attributes: Mapping[str, Any] | None = None,
        weights: str = "",
    ) -> Ref:
        """Add a node.

        Args:
            name: Name of the node. Where another node has it, a number is appended.
            op: Kind of node, as listed in `converters.graph.node`.
            inputs: Outputs that the node takes.
            shape: Shape of its own output, without the batch axis.
            attributes: Settings of the op, as listed in `converters.graph.node`.
            weights: Key of its weights, from `add_weights`; "" where it has none.
        """
        name = self._free(name, weights)
        names = tuple(ref.name for ref in inputs)
        self._nodes[name] = Node(name, op, names, shape, dict(attributes or {}), weights)
        return Ref(name, shape)

    def input(self, name: str, shape: tuple[int, ...], dtype: str = "float32") -> Ref:
        """Add an input of the model; floats of any type are float32."""
        is_float = dtype.endswith(("float16", "float32", "float64"))
        return self.add(name, INPUT, (), shape, {} if is_float else {"dtype": dtype})

    def node(self, source: Ref) -> Node:
        """The node that gives an output."""
        return self._nodes[source.name]

    def is_whole(self, source: Ref) -> bool:
        """Whether a node gives whole numbers."""
        return whole_dtype(self._nodes[source.name], self._nodes) != ""

    def floats_of(self, source: Ref) -> Ref:
        """Make floats of whole numbers; floats stay what they are."""
        if not self.is_whole(source):
            return source
        return self.add(f"{source.name}_as_floats", CAST, (source,), source.shape)

    def add_weights(self, layer: SourceLayer, part: str = "", **arrays: Any) -> str:
        """Add the weights of a layer, once however often the layer is used.

        Args:
            layer: Layer that has the weights.
            part: Name of one of several sets of weights of the layer.
            arrays: Arrays by name, in the order of axes that `converters.graph.node` lists for the
                op; stored as float32.

        Returns:
            The key of the weights.
        """
        owner = (layer.owner, part)
        if owner not in self._keys:
            key = layer.name + (f"_{part}" if part else "")
            while key in self._weights or key in self._nodes:
                key += "_x"
            self._keys[owner] = key
            self._weights[key] = {
                name: np.array(array, np.float32) for name, array in arrays.items()
            }
        return self._keys[owner]

    def activation(self, name: str, source: Ref, function: str, **attributes: Any) -> Ref:
        """Add an activation function; "linear" adds nothing.

        Args:
            name: Name of the node.
            source: Numbers that it is applied to.
            function: Name of the function.
            attributes: Parameters of the function.
        """
        if function == "linear":
            return source
        plain = {"function": function, **attributes}
        return self.add(name, ACTIVATION, (source,), source.shape, plain)

    def add_constant(self, name: str, source: Ref, values: Any) -> Ref:
        """Add numbers that training leaves as they are.

        Args:
            name: Name of the node.
            source: Numbers that they are added to.
            values: Numbers in a shape that broadcasts to that of the source, with or without its
                batch axis.
        """
        array = np.asarray(values, np.float32)
        if array.ndim > len(source.shape):
            array = array.reshape(array.shape[1:])
        plain: dict[str, Any] = {"values": tuple(array.reshape(-1).tolist()), "shape": array.shape}
        if array.size and np.abs(array).max() >= MASKS_FROM:
            plain["masks"] = True
        return self.add(name, "add_constant", (source,), source.shape, plain)

    def affine(self, layer: SourceLayer, source: Ref, scale: Any, offset: Any) -> Ref:
        """Add x * scale + offset.

        Args:
            layer: Layer that multiplies and adds.
            source: x; its last axis are the channels.
            scale: One number, or one for each channel.
            offset: One number, or one for each channel.

        Raises:
            ConversionError: A constant has another shape.
        """
        channels = source.shape[-1]
        arrays = {
            name: np.broadcast_to(self._by_channel(layer, value, channels), (channels,))
            for name, value in (("scale", scale), ("offset", offset))
        }
        weights = self.add_weights(layer, scale=arrays["scale"], offset=arrays["offset"])
        return self.add(layer.name, AFFINE, (source,), source.shape, weights=weights)

    def lstm(
        self, layer: SourceLayer, source: Ref, arrays: Mapping[str, Any], recurrence: Recurrence
    ) -> Ref:
        """Add an LSTM whose states begin at zero.

        Args:
            layer: Layer that has the weights.
            source: Sequence, shape (steps, inputs).
            arrays: `kernel` (inputs, 4 * units), `recurrent` (units, 4 * units) and `bias`
                (4 * units,); the gates are input, forget, cell, output.
            recurrence: Settings of the layer.

        Raises:
            ConversionError: The graph does not have the activations of the layer.
        """
        return self._recurrent(layer, LSTM, source, arrays, recurrence)

    def gru(
        self,
        layer: SourceLayer,
        source: Ref,
        arrays: Mapping[str, Any],
        recurrence: Recurrence,
        *,
        reset_after: bool,
    ) -> Ref:
        """Add a GRU whose state begins at zero.

        Args:
            layer: Layer that has the weights.
            source: Sequence, shape (steps, inputs).
            arrays: `kernel` (inputs, 3 * units), `recurrent` (units, 3 * units) and `bias`
                (3 * units,), with `reset_after` (2, 3 * units); the gates are update, reset,
                candidate. The new state is update * old + (1 - update) * candidate.
            recurrence: Settings of the layer.
            reset_after: Whether the reset gate multiplies behind the recurrent kernel, as in
                PyTorch (`linear_before_reset` of ONNX).

        Raises:
            ConversionError: The graph does not have the activations of the layer.
        """
        return self._recurrent(layer, GRU, source, arrays, recurrence, reset_after=reset_after)

    def rnn(
        self, layer: SourceLayer, source: Ref, arrays: Mapping[str, Any], recurrence: Recurrence
    ) -> Ref:
        """Add a layer whose new state is cell_function(kernel * input + recurrent * state + bias).

        Args:
            layer: Layer that has the weights.
            source: Sequence, shape (steps, inputs).
            arrays: `kernel` (inputs, units), `recurrent` (units, units) and `bias` (units,).
            recurrence: Settings of the layer; `gate_function` is not used.

        Raises:
            ConversionError: The graph does not have the activation of the layer.
        """
        return self._recurrent(layer, RNN, source, arrays, recurrence)

    def _recurrent(
        self,
        layer: SourceLayer,
        op: str,
        source: Ref,
        arrays: Mapping[str, Any],
        recurrence: Recurrence,
        **attributes: Any,
    ) -> Ref:
        if recurrence.unknown_functions:
            names = " and ".join(recurrence.unknown_functions)
            raise self.refusal(layer, f"with the activation {names}")
        shape = recurrent_shape(source.shape, np.shape(arrays["recurrent"])[0], recurrence)
        weights = self.add_weights(layer, **arrays)
        plain = {**asdict(recurrence), **attributes}
        return self.add(layer.name, op, (source,), shape, plain, weights)

    def _by_channel(self, layer: SourceLayer, value: Any, channels: int) -> npt.NDArray[np.float32]:
        array = np.asarray(value, np.float32)
        if array.size > 1 and array.shape[-1:] == (array.size,):
            array = array.reshape(-1)
        elif array.size == 1:
            array = array.reshape(())
        if array.shape not in ((), (channels,)):
            raise self.refusal(layer, f"with a constant of the shape {array.shape}")
        return array

    def refusal(self, layer: SourceLayer, why: str = "") -> LayerOutsideGraphError:
        """The error to raise about a layer that cannot be represented.

        Args:
            layer: The layer.
            why: Words that follow its kind, such as "with causal padding".
        """
        what = f"{layer.kind} {why}".strip()
        return LayerOutsideGraphError(
            f"{self.origin}: layer {layer.name!r} ({what}) cannot be brought to kedge's graph, in "
            "which it trains and prunes",
            _HINT,
        )

    def graph(self, name: str, outputs: list[Ref]) -> Graph:
        """The graph of all that was added.

        Args:
            name: Name of the model.
            outputs: Outputs of the model, in their order.
        """
        return Graph(
            name, tuple(self._nodes.values()), tuple(ref.name for ref in outputs), self._weights
        )

    def _free(self, name: str, weights: str) -> str:
        """A name that no other node has, and no weights but the node's own."""
        free, number = name, 1
        while free in self._nodes or free in self._weights and free != weights:
            free, number = f"{name}_{number}", number + 1
        return free
