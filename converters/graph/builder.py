"""A graph while it is being read: nodes are added one after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.errors import ConversionError
from converters.graph.keras.calls import Call, Ref
from converters.graph.node import AFFINE, INPUT, Graph, Node, Weights

_HINT = (
    "replace the layer by layers that kedge represents (docs/coverage.md), or use a recipe that "
    "does not train: ptq_w8a8, mixed_w8a8 (floats where 8 bits cannot be), ptq_dynamic (any layer)"
)


class Sheet:
    """Nodes and weights so far."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._nodes: dict[str, Node] = {}
        self._weights: dict[str, Weights] = {}
        self._keys: dict[tuple[int, str], str] = {}

    def add(
        self,
        name: str,
        op: str,
        inputs: tuple[Ref, ...],
        shape: tuple[int, ...],
        attributes: Mapping[str, Any] | None = None,
        weights: str = "",
    ) -> Ref:
        """Add a node, under its name or, where that is taken, one like it."""
        name = self._free(name)
        names = tuple(ref.name for ref in inputs)
        self._nodes[name] = Node(name, op, names, shape, dict(attributes or {}), weights)
        return Ref(name, shape)

    def input(self, name: str, shape: tuple[int, ...]) -> Ref:
        """Add an input of the model."""
        return self.add(name, INPUT, (), shape)

    def keep(self, call: Call, part: str = "", **arrays: Any) -> str:
        """Keep the weights of a layer, once however often it is called; their key.

        Args:
            call: Of the layer.
            part: Which of several sets of weights of the layer it is.
            arrays: By name.
        """
        owner = (id(call.layer), part)
        if owner not in self._keys:
            key = call.name + (f"_{part}" if part else "")
            while key in self._weights:
                key += "_x"
            self._keys[owner] = key
            self._weights[key] = {
                name: np.array(array, np.float32) for name, array in arrays.items()
            }
        return self._keys[owner]

    def activation(self, call: Call, source: Ref, function: str, **attributes: Any) -> Ref:
        """Add an activation function; none for "linear"."""
        if function == "linear":
            return source
        taken = source.name == call.name or call.name in self._nodes
        name = f"{call.name}_{function}" if taken and not call.is_function else call.name
        plain = {"function": function, **attributes}
        return self.add(name, "activation", (source,), source.shape, plain)

    def affine(self, call: Call, source: Ref, scale: Any, offset: Any) -> Ref:
        """Add x * scale + offset.

        Args:
            call: Whose it is.
            source: x.
            scale: A number or one for each channel.
            offset: The same.
        """
        channels = source.shape[-1]
        arrays = {
            name: np.broadcast_to(self._per_channel(call, value, channels), (channels,))
            for name, value in (("scale", scale), ("offset", offset))
        }
        weights = self.keep(call, scale=arrays["scale"], offset=arrays["offset"])
        return self.add(call.name, AFFINE, (source,), source.shape, weights=weights)

    def _per_channel(self, call: Call, value: Any, channels: int) -> npt.NDArray[np.float32]:
        array = np.asarray(value, np.float32)
        if array.size > 1 and array.shape[-1:] == (array.size,):
            array = array.reshape(-1)
        elif array.size == 1:
            array = array.reshape(())
        if array.shape not in ((), (channels,)):
            raise self.refusal(call, f"with a constant of the shape {array.shape}")
        return array

    def refusal(self, call: Call, why: str = "") -> ConversionError:
        """What to raise about a call that cannot be represented."""
        what = f"{call.kind} {why}".strip()
        return ConversionError(
            f"{self.origin}: layer {call.name!r} ({what}) cannot be brought to kedge's graph, in "
            "which it trains and prunes",
            _HINT,
        )

    def graph(self, name: str, outputs: list[Ref]) -> Graph:
        """What was added."""
        return Graph(
            name, tuple(self._nodes.values()), tuple(ref.name for ref in outputs), self._weights
        )

    def _free(self, name: str) -> str:
        free, number = name, 1
        while free in self._nodes:
            free, number = f"{name}_{number}", number + 1
        return free
