"""Differences between a file and its simulation, layer by layer, in steps of the rounding."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras
from ai_edge_litert.schema_py_generated import ActivationFunctionType

from converters.data.fields import to_keras_inputs
from converters.graph.node import ACTIVATION, Graph
from converters.quantize.ranges import Rounding
from converters.tensor_spec import dequantize
from converters.tflite.quantization import quantize_inputs
from converters.tflite.run import run_inside
from converters.tflite.unpacked import UnpackedModel

Array = npt.NDArray[Any]
Bounds = Mapping[str, tuple[float, float]]

_STEPS = 255
#: Prefix that `converters.quantize.fake_quant.Wrapping` adds to the name of a node.
_PREFIX = "rounded_"


@dataclass(frozen=True)
class Simulation:
    """A model that rounds where the file should round."""

    graph: Graph
    """Graph of the model."""
    rounding: Rounding
    """Nodes whose output is rounded."""
    bounds: Bounds
    """Name of each node that owns a range to its lowest and highest number."""
    model: Any
    """tf-keras model of the graph, with wrapped layers."""


def layer_differences(simulation: Simulation, content: bytes, batch: Array) -> dict[str, float]:
    """Measure the difference of each layer that the simulation and the file both have, in order.

    Args:
        simulation: The trained model.
        content: The .tflite.
        batch: Samples, float32, shape (n, ...); for several inputs shape (n,), a field for each.

    Returns:
        Name of the layer to the root mean square of the difference, in steps of its rounding.
    """
    expected, actual = _both_numbers(simulation, content, batch)
    return {
        name: _steps_apart(simulation, name, actual[name], numbers)
        for name, numbers in expected.items()
    }


def own_differences(
    simulation: Simulation, content: bytes, batch: Array, names: Collection[str]
) -> dict[str, float]:
    """Measure the differences of layers that get the numbers of the file, not the simulation's.

    Args:
        simulation: The trained model.
        content: The .tflite.
        batch: Samples, float32, shape (n, ...); for several inputs shape (n,), a field for each.
        names: Names of layers for which `layer_differences` returns a difference.

    Returns:
        Name of the layer to the root mean square of the difference, in steps of its rounding.
        Layers are left out that depend on a number that the file does not have.
    """
    _, actual = _both_numbers(simulation, content, batch)
    nodes = simulation.graph.by_name()

    def sources(name: str) -> Iterator[str]:
        for before in nodes[name].inputs:
            if before in actual:
                yield before
            else:
                yield from sources(before) if nodes[before].inputs else (before,)

    differences = {}
    for name in names:
        before = tuple(dict.fromkeys(sources(name)))
        if before and set(before) <= set(actual):
            # The first output of each: a model that begins inside adds a call to its layers.
            outputs = [_layer(simulation, other).get_output_at(0) for other in before]
            part = tf_keras.Model(outputs, _layer(simulation, name).get_output_at(0))
            shapes = [(-1, *output.shape[1:]) for output in outputs]
            inputs = [
                actual[other].reshape(shape).astype(np.float32)
                for other, shape in zip(before, shapes, strict=True)
            ]
            expected = np.asarray(part(inputs, training=False))
            differences[name] = _steps_apart(simulation, name, actual[name], expected)
    return differences


def _layer(simulation: Simulation, name: str) -> Any:
    return simulation.model.get_layer(_PREFIX + name)


def _both_numbers(
    simulation: Simulation, content: bytes, batch: Array
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Name of each layer to its numbers in the simulation, and in the file in the same order."""
    tensors = _single_tensors(simulation, content)
    if not tensors:
        return {}, {}
    model = simulation.model
    inside = tf_keras.Model(model.inputs, [_layer(simulation, name).output for name in tensors])
    numbers = inside.predict(to_keras_inputs(batch), verbose=0)
    expected = dict(zip(tensors, numbers if isinstance(numbers, list) else [numbers], strict=True))
    actual = _file_numbers(content, batch, tensors)
    if _turns_axes(simulation):
        file = UnpackedModel(content)
        actual = {
            name: _in_order_of(expected[name], numbers, _sizes(file.shape(tensors[name])))
            for name, numbers in actual.items()
        }
    return expected, actual


def _turns_axes(simulation: Simulation) -> bool:
    """Whether TensorFlow's converter may compute tensors with their axes in another order.

    It does so with a product of matrices, and with what follows.
    """
    return any(node.op == "matmul" for node in simulation.graph.nodes)


def _in_order_of(expected: Array, actual: Array, sizes: tuple[int, ...]) -> Array:
    """Numbers of a file in the order of axes in which they are nearest to those expected.

    Args:
        expected: Numbers of the simulation, shape (n, ...).
        actual: Numbers of the file, n times those of one sample.
        sizes: Sizes of the axes of one sample in the file, without those of one place.
    """
    samples = actual.reshape(len(expected), *sizes)
    orders = [
        np.transpose(samples, (0, *(axis + 1 for axis in order)))
        for order in permutations(range(len(sizes)))
        if tuple(sizes[axis] for axis in order) == _sizes(expected.shape[1:])
    ]
    nearest = min(
        orders,
        key=lambda order: float(np.square(order.reshape(expected.shape) - expected).sum()),
    )
    return nearest.reshape(expected.shape)


def _single_tensors(simulation: Simulation, content: bytes) -> dict[str, int]:
    """Name of each node that is used once and learned its range to its tensor in the file."""
    return {
        name: position
        for name, position in node_tensors(simulation, UnpackedModel(content)).items()
        if len(_layer(simulation, name).inbound_nodes) == 1
        and name not in simulation.rounding.fixed
    }


def _file_numbers(content: bytes, batch: Array, tensors: Mapping[str, int]) -> dict[str, Array]:
    """Name of each node to the numbers of its tensor in the file, for a batch of samples."""
    file = UnpackedModel(content)
    inputs = quantize_inputs([file.spec(position) for position in file.inputs], batch)
    rows = list(run_inside(content, [inputs], list(tensors.values())))
    return {
        name: dequantize(np.concatenate([row[place] for row in rows]), file.spec(position))
        for place, (name, position) in enumerate(tensors.items())
    }


def _steps_apart(simulation: Simulation, name: str, actual: Array, expected: Array) -> float:
    """Root mean square of the difference of a layer's numbers, in steps of its rounding."""
    low, high = simulation.bounds[simulation.rounding.ranges[name]]
    error = actual.reshape(len(expected), -1) - expected.reshape(len(expected), -1)
    return float(np.sqrt(np.mean(error**2)) / ((high - low) / _STEPS))


def node_tensors(simulation: Simulation, file: UnpackedModel) -> dict[str, int]:
    """Name of each node that rounds to the tensor of its output, in the order of the graph.

    The converter names a tensor after the layers that it was made from, separated by semicolons. A
    kernel that clips its output has the output of the ReLU behind it, so that a layer with several
    ReLUs has no output of its own in the file; it is compared behind each of them.
    """
    nodes = simulation.graph.by_name()
    built = {layer.name for layer in simulation.model.layers}
    # The name of a transposed tensor contains the layer of the original tensor too.
    giving = [op for op in file.operators if file.op(op) != "TRANSPOSE"]
    tensors = [*file.inputs, *(int(op.outputs[0]) for op in giving)]
    clipped = {int(op.outputs[0]) for op in giving if _clips(op)}
    turns_axes = _turns_axes(simulation)
    positions: dict[str, int] = {}
    for tensor in tensors:
        parts = {part for name in file.name(tensor).split(";") for part in name.split("/")}
        shape = _sizes(file.shape(tensor))
        names = []
        for name in simulation.rounding.ranges:
            is_named = _PREFIX + name in parts & built
            is_own = tensor not in clipped or nodes[name].op == ACTIVATION
            sizes = _sizes(nodes[name].shape)
            is_same = sorted(sizes) == sorted(shape) if turns_axes else sizes == shape
            if is_named and is_own and is_same:
                names.append(name)
        # Where axes are turned, a tensor has the name of the layer before it, too.
        for name in names[-1:] if turns_axes else names:
            # The last one counts: after a kernel that dictates its scale, another changes it.
            positions[name] = tensor
    return {name: positions[name] for name in simulation.rounding.ranges if name in positions}


def _sizes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes of the axes that have more than one place."""
    return tuple(size for size in shape if size != 1)


def _clips(operator: Any) -> bool:
    """Whether a ReLU is part of an operator of a file."""
    function = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
    return bool(function != ActivationFunctionType.NONE)
