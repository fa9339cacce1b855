"""An ONNX model while it is being read: tensors that are known so far, and moves of their axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from converters.errors import ConversionError
from converters.graph.builder import GraphBuilder, Ref, SourceLayer
from converters.graph.onnx.axes import (
    Axis,
    AxisPart,
    OnnxValue,
    flatten,
    new_axis,
    size_of,
    split_axes,
)
from converters.graph.onnx.onnx_node import OnnxNode

Array = npt.NDArray[Any]
_HINT = (
    "Export the model without it, or replace it by ops that docs/coverage.md lists. `kedge push` "
    "and `kedge bench` take the file as it is."
)


class OnnxReader:
    """Tensors of an ONNX model that were read so far, and the graph that they are read into."""

    def __init__(
        self, origin: Path, constants: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]
    ) -> None:
        """Begin with nothing.

        Args:
            origin: File of the model; messages name it.
            constants: Name of each constant tensor to its numbers.
            shapes: Name of each tensor whose shape is known to its shape, for one sample.
        """
        self.origin = origin
        self.builder = GraphBuilder(str(origin))
        self.constants = constants
        self.shapes = shapes
        self.values: dict[str, OnnxValue] = {}
        #: Name of the answer of an IsNaN to what it looks at.
        self.not_a_number: dict[str, OnnxValue] = {}
        self._arranged: dict[tuple[str, tuple[int, ...], tuple[int, ...]], Ref] = {}

    def refusal(self, node: OnnxNode, why: str = "", hint: str = "") -> ConversionError:
        """The error to raise about a node that cannot be represented.

        Args:
            node: The node.
            why: Words that follow its op, such as "with padding of channels".
            hint: Next step for the user, a sentence; "" for the general one.
        """
        what = f"{node.kind} {why}".strip()
        return ConversionError(
            f"{self.origin}: node {node.label!r} ({what}) cannot be brought to kedge's graph",
            hint or _HINT,
        )

    def layer(self, node: OnnxNode, part: str = "", *owner: Any) -> SourceLayer:
        """The node as the builder knows it.

        Args:
            node: The node.
            part: Name of a part of it, which has a node of its own; "" for the node itself.
            owner: Names of the constants that its weights are made of, and whatever else they
                depend on. Equal owners share their weights.
        """
        name = f"{node.name}_{part}" if part else node.name
        return SourceLayer(name, node.kind, owner or (node.name, part))

    def gives(self, ref: Ref, op: str, function: str = "") -> bool:
        """Whether a node is of an op, and has an activation function."""
        node = self.builder.node(ref)
        return node.op == op and node.attributes.get("function", "") == function

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is constant."""
        return name in self.constants

    def constant(self, node: OnnxNode, place: int) -> Array | None:
        """Numbers of a constant input of a node, any shape and dtype; None where it is absent.

        Raises:
            ConversionError: The input is not constant.
        """
        name = node.input(place)
        if not name:
            return None
        if name not in self.constants:
            raise self.refusal(node, f"whose input {name!r} is computed, not constant")
        return self.constants[name]

    def value(self, node: OnnxNode, place: int) -> OnnxValue:
        """A computed input of a node.

        Raises:
            ConversionError: The input is constant, absent or not known.
        """
        name = node.input(place)
        if name in self.constants:
            raise self.refusal(node, f"whose input {name!r} is constant")
        if name not in self.values:
            raise self.refusal(node, f"whose input {name!r} nothing gives")
        return self.values[name]

    def floats(self, node: OnnxNode, place: int) -> OnnxValue:
        """A computed input of a node, as floats."""
        value = self.value(node, place)
        return replace(value, ref=self.builder.floats_of(value.ref))

    def output_shape(self, node: OnnxNode, place: int = 0) -> tuple[int, ...]:
        """Shape of an output of a node.

        Raises:
            ConversionError: It is not known before the model runs.
        """
        shape = self.shapes.get(node.output(place))
        if shape is None or min(shape, default=1) < 1:
            raise self.refusal(
                node,
                "whose output has a shape that depends on the data",
                "Export the model with fixed shapes, or cut it before this node.",
            )
        return shape

    def arrange(self, value: OnnxValue, groups: Sequence[Axis], name: str) -> Ref:
        """Give an output whose axes are groups of parts, in their order.

        Nothing is added where the output is like that already.

        Args:
            value: The tensor.
            groups: Parts of each axis of the output; all parts of the tensor, each once.
            name: Name for nodes that must be added.
        """
        order = flatten(groups)
        shape = tuple(size_of(group) for group in groups) or (1,)
        if order == value.stored:
            return self._reshape(value.ref, shape, name)
        key = (value.ref.name, tuple(value.stored.index(part) for part in order), shape)
        if key not in self._arranged:
            self._arranged[key] = self._permute(value, order, shape, name)
        return self._arranged[key]

    def _permute(self, value: OnnxValue, order: Axis, shape: tuple[int, ...], name: str) -> Ref:
        """Move parts that stay together as one axis."""
        places = [value.stored.index(part) for part in order]
        runs: list[list[int]] = []
        for place in places:
            if runs and runs[-1][-1] + 1 == place:
                runs[-1].append(place)
            else:
                runs.append([place])
        in_order = sorted(runs)
        sizes = [size_of([value.stored[place] for place in run]) for run in in_order]
        apart = self._reshape(value.ref, tuple(sizes), f"{name}_apart")
        dims = tuple(in_order.index(run) + 1 for run in runs)
        moved = tuple(sizes[dim - 1] for dim in dims)
        turned = self.builder.add(f"{name}_turned", "permute", (apart,), moved, {"dims": dims})
        return self._reshape(turned, shape, f"{name}_joined")

    def _reshape(self, ref: Ref, shape: tuple[int, ...], name: str) -> Ref:
        if ref.shape == shape:
            return ref
        key = (ref.name, (), shape)
        if key not in self._arranged:
            self._arranged[key] = self.builder.add(f"{name}_shaped", "reshape", (ref,), shape)
        return self._arranged[key]

    def join_axis(self, value: OnnxValue, axis: int, name: str) -> OnnxValue:
        """Make one part of an axis, in the order of ONNX.

        Args:
            value: The tensor.
            axis: Axis of the ONNX tensor.
            name: Name for nodes that must be added.
        """
        parts = value.axes[axis]
        if len(parts) < 2:
            return value
        first = value.stored.index(parts[0])
        others = [part for part in value.stored if part not in parts]
        before = sum(part not in parts for part in value.stored[:first])
        groups = [(part,) for part in others[:before]] + [parts]
        groups += [(part,) for part in others[before:]]
        ref = self.arrange(value, groups, name)
        joined = AxisPart(size_of(parts))
        stored = (*others[:before], joined, *others[before:])
        axes = [(joined,) if i == axis else old for i, old in enumerate(value.axes)]
        return OnnxValue(ref, stored, tuple(axes))

    def reshape(self, value: OnnxValue, shape: Sequence[int], name: str) -> OnnxValue:
        """Give the tensor another shape, as Reshape does.

        Args:
            value: The tensor.
            shape: Shape for one sample, of as many places.
            name: Name for nodes that must be added.
        """
        new = split_axes(value, shape)
        if new is not None:
            return new
        ref = self.arrange(value, [flatten(value.axes)], name)
        whole = new_axis(size_of(value.stored))
        flat = split_axes(OnnxValue(ref, whole, (whole,)), shape)
        assert flat is not None
        return flat

    def channels_last(self, value: OnnxValue, name: str, ndim: int) -> Ref:
        """Give an image or sequence of ONNX, (batch, channels, …), with its channels last.

        Args:
            value: The tensor.
            name: Name for nodes that must be added.
            ndim: Number of axes between batch and channels that the output shall have.
        """
        spatial = list(value.axes[2:])
        spatial = [()] * (ndim - len(spatial)) + spatial
        return self.arrange(value, [*spatial, value.axes[1]], name)

    def image_value(self, ref: Ref, rank: int) -> OnnxValue:
        """The tensor of ONNX, (batch, channels, …), of an output that has its channels last.

        Args:
            ref: Output; its axes before the last are the spatial ones, or 1 and these.
            rank: Number of axes of the ONNX tensor.
        """
        *spatial, channels = (new_axis(size) for size in ref.shape)
        axes = ((), channels, *spatial[len(spatial) - (rank - 2) :])
        return OnnxValue(ref, flatten([*spatial, channels]), axes)
