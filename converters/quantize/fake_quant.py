"""Fake quantization with the rounding of TFLite's int8 kernels, in the wrapper of TFMOT.

Weights: one symmetric range of -127..127 steps for each output channel, also of a depthwise kernel,
whose channels are its last two axes (TFMOT gives it a single range). Activations: one range a
tensor, -128..127 steps, which always contains 0.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_config,
    quantize_wrapper,
    quantizers,
)

from converters.graph.build import variable_names
from converters.graph.node import (
    CONV_TRANSPOSE,
    DEPTHWISE,
    WEIGHTED,
    Graph,
    Node,
    with_weights,
)
from converters.graph.unfold import kernel_factor
from converters.quantize.ranges import Rounding

#: Share of a range that stays at each batch; about 100 batches replace the range of calibration.
_MOMENTUM = 0.99
#: Narrowest range of a channel's weights, as a share of the widest channel: a channel of zeros
#: would have a scale of 0, which is not allowed.
_NARROWEST = 1e-5


class Range:
    """Lowest and highest number of a tensor; several layers may round with it."""

    def __init__(self, name: str, low: float, high: float) -> None:
        self.low = _averaged_variable(min(low, 0.0), f"{name}_low")
        self.high = _averaged_variable(max(high, 1e-6), f"{name}_high")


def _averaged_variable(value: float, name: str) -> Any:
    """A variable that each device moves for itself; reading it averages over the devices."""
    return tf.Variable(
        value,
        trainable=False,
        dtype=tf.float32,
        name=name,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.MEAN,
    )


class OutputRounding(quantizers.Quantizer):  # type: ignore[misc]
    """Rounding of a tensor; its range can follow the numbers that training brings.

    A kernel that dictates its range rounds with this range first. If its output then goes into a
    concatenation with another range, the file rounds twice.
    """

    def __init__(self, of: Range, follows: bool, before: tuple[float, float] | None = None) -> None:
        self._range, self._follows, self._before = of, follows, before

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:  # noqa: ARG002
        """Variables of the range, which the wrapper keeps."""
        return {"low": self._range.low, "high": self._range.high}

    def __call__(self, inputs: Any, training: Any, weights: Any, **_: Any) -> Any:
        """Round numbers of any shape to those that the file would have in their place."""
        if self._before is not None:
            inputs = tf.quantization.fake_quant_with_min_max_args(inputs, *self._before)
        if self._follows and training:
            for variable, extreme in (
                (weights["low"], tf.minimum(tf.reduce_min(inputs), 0.0)),
                (weights["high"], tf.maximum(tf.reduce_max(inputs), 1e-6)),
            ):
                variable.assign(_MOMENTUM * variable + (1 - _MOMENTUM) * extreme)
        return tf.quantization.fake_quant_with_min_max_vars(
            inputs, weights["low"], weights["high"], num_bits=8
        )

    def get_config(self) -> dict[str, Any]:
        """Empty: such a model is rebuilt, never loaded."""
        return {}


class KernelRounding(quantizers.Quantizer):  # type: ignore[misc]
    """Rounding of a kernel, each output channel with its own range.

    Training changes the kernel divided by its size, so that an optimizer whose steps all have one
    size does not ruin small kernels.
    """

    def __init__(self, op: str, size: Any) -> None:
        self._op, self._size = op, size

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:  # noqa: ARG002
        """Empty: there are no variables, as the weights themselves decide the range."""
        return {}

    def __call__(self, inputs: Any, training: Any, weights: Any, **_: Any) -> Any:  # noqa: ARG002
        """Round a kernel, in Keras's order of axes, to the weights of the file."""
        return round_kernel(inputs * self._size, self._op)

    def get_config(self) -> dict[str, Any]:
        """Empty: such a model is rebuilt, never loaded."""
        return {}


def round_kernel(kernel: Any, op: str) -> Any:
    """Round a kernel to 255 steps in each output channel, like an int8 file.

    Args:
        kernel: float32 tensor in Keras's order of axes, such as (height, width, in, out).
        op: Op of the node, which decides the axes of the channels.

    Returns:
        float32 tensor of the shape of `kernel`.
    """
    if op == CONV_TRANSPOSE:  # (height, width, out, in)
        swapped = round_kernel(tf.transpose(kernel, (0, 1, 3, 2)), "")
        return tf.transpose(swapped, (0, 1, 3, 2))
    channels = kernel.shape[-1] * (kernel.shape[-2] if op == DEPTHWISE else 1)
    flat = tf.reshape(kernel, (-1, channels))
    widest = tf.stop_gradient(tf.reduce_max(tf.abs(flat), axis=0))
    widest = tf.maximum(widest, tf.reduce_max(widest) * _NARROWEST + 1e-12)
    rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(
        flat, -widest, widest, num_bits=8, narrow_range=True
    )
    return tf.reshape(rounded, kernel.shape)


class NodeConfig(quantize_config.QuantizeConfig):  # type: ignore[misc]
    """Rounding of one layer's kernel and output."""

    def __init__(self, node: Node, output: OutputRounding | None, size: Any) -> None:
        self._node, self._output, self._size = node, output, size
        self._kernel = ""
        if size is not None:
            self._kernel = variable_names(node.op, ("kernel",))["kernel"]

    def get_weights_and_quantizers(self, layer: Any) -> list[Any]:
        """The kernel and its rounding; a bias of 32 bits needs none."""
        if not self._kernel:
            return []
        return [(getattr(layer, self._kernel), KernelRounding(self._node.op, self._size))]

    def set_quantize_weights(self, layer: Any, quantize_weights: Any) -> None:
        """Let the layer compute with the rounded kernel."""
        if self._kernel:
            setattr(layer, self._kernel, quantize_weights[0])

    def get_activations_and_quantizers(self, layer: Any) -> list[Any]:  # noqa: ARG002
        """Empty: activations are layers of their own."""
        return []

    def set_quantize_activations(self, layer: Any, quantize_activations: Any) -> None:
        """Do nothing: activations are layers of their own."""
        assert not quantize_activations, layer.name

    def get_output_quantizers(self, layer: Any) -> list[Any]:  # noqa: ARG002
        """Rounding of the output, if there is any."""
        return [self._output] if self._output else []

    def get_config(self) -> dict[str, Any]:
        """Empty: such a model is rebuilt, never loaded."""
        return {}


class Wrapping:
    """Wrapper of the layers of a graph while its model is built; the ranges outlive the model.

    With `twice`, the output of a kernel that dictates a range is rounded with this range too. The
    converter adds this rounding itself, so the model that it gets must not have it.

    `rounding` has the nodes that are rounded, `sizes` the key of weights to the size by which their
    kernel was divided; kernels without a size are not rounded.
    """

    def __init__(
        self,
        rounding: Rounding,
        start: Mapping[str, tuple[float, float]],
        sizes: Mapping[str, npt.NDArray[np.float32]],
        twice: bool = True,
    ) -> None:
        self.rounding, self.sizes, self._twice = rounding, sizes, twice
        own = set(rounding.ranges.values())
        fixed = {name: bound for name, bound in rounding.fixed.items() if name in own}
        bounds = {**{name: start[name] for name in rounding.learned_nodes}, **fixed}
        self._ranges = {name: Range(name, *bound) for name, bound in bounds.items()}

    def __call__(self, node: Node, layer: Any) -> Any:
        """Wrap a layer if its kernel or its output is rounded; else return it."""
        owner = self.rounding.ranges.get(node.name)
        output = None
        if owner is not None:
            follows = owner == node.name and owner not in self.rounding.fixed
            follows = follows and not node.attributes.get("masks")
            twice = self._twice and node.name in self.rounding.rounded_twice
            before = self.rounding.fixed[node.name] if twice else None
            output = OutputRounding(self._ranges[owner], follows, before)
        size = self.sizes.get(node.weights)
        if output is None and size is None:
            return layer
        config = NodeConfig(node, output, size)
        return quantize_wrapper.QuantizeWrapperV2(layer, config, name=f"rounded_{node.name}")

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Name of each node that owns a range to its present lowest and highest number."""
        return {
            name: (float(tensor_range.low.numpy()), float(tensor_range.high.numpy()))
            for name, tensor_range in self._ranges.items()
        }


def kernel_sizes(graph: Graph) -> dict[str, npt.NDArray[np.float32]]:
    """Key of weights to the size of each channel of their kernel, in a shape that multiplies it."""
    sizes = {}
    for key, (node, *_) in graph.uses().items():
        if node.op in WEIGHTED:
            factor = kernel_factor(node, graph.weights[key]["kernel"])
            sizes[key] = (1 / factor).astype(np.float32)
    return sizes


def scale_kernels(graph: Graph, factors: Mapping[str, npt.NDArray[np.float32]]) -> Graph:
    """Multiply kernels of a graph by factors.

    Args:
        graph: Graph whose kernels have Keras's order of axes.
        factors: Key of weights to factors, float32, in a shape that multiplies the kernel.
    """
    weights = dict(graph.weights)
    for key, factor in factors.items():
        weights[key] = {**weights[key], "kernel": weights[key]["kernel"] * factor}
    return with_weights(graph, weights)


def round_kernels(
    graph: Graph, exact: Collection[str] = ()
) -> dict[str, Mapping[str, npt.NDArray[np.float32]]]:
    """Weights of a graph, kernels rounded to the grid of the file; shapes do not change.

    Args:
        graph: Graph whose kernels have Keras's order of axes.
        exact: Keys of weights whose kernels are not rounded.
    """
    weights = dict(graph.weights)
    for node in graph.nodes:
        if node.op in WEIGHTED and node.weights not in exact:
            old = graph.weights[node.weights]
            kernel = np.asarray(round_kernel(tf.constant(old["kernel"]), node.op))
            weights[node.weights] = {**old, "kernel": kernel}
    return weights
