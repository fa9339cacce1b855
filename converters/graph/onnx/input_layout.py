"""Finds the axis of an input that has the channels, by the ops that take it. Pure."""

from __future__ import annotations

from collections.abc import Container, Sequence

from converters.graph.onnx.onnx_node import OnnxNode

#: Ops that take (batch, channels, …).
_CHANNELS_FIRST = (
    *("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"),
    *("BatchNormalization", "InstanceNormalization", "GroupNormalization", "Resize", "Upsample"),
    *("DepthToSpace", "SpaceToDepth"),
)
#: Ops of one computed tensor that keep its axes.
_NEUTRAL = (
    *("Add", "Sub", "Mul", "Div", "Cast", "Identity", "Pad", "Clip", "Relu", "LeakyRelu", "PRelu"),
    *("Dropout", "Sigmoid", "Tanh", "Slice", "Split", "Concat", "Max", "Min", "HardSwish", "Gelu"),
    *("Elu", "Neg", "Pow", "Gather"),
)
#: Numbers of channels of images.
_COLOURS = (1, 3, 4)


def channels_axis(
    name: str, shape: tuple[int, ...], nodes: Sequence[OnnxNode], constants: Container[str]
) -> int | None:
    """Axis that has the channels; None where the axes stay in the order of the file.

    Args:
        name: Name of the input.
        shape: Its shape, with the batch axis.
        nodes: Nodes of the model, in their order.
        constants: Names of the constant tensors.
    """
    if len(shape) not in (3, 4):
        return None
    axes = {name: tuple(range(len(shape)))}
    for node in nodes:
        taken = [n for n in node.inputs if n in axes]
        if not taken:
            continue
        own = axes[taken[0]]
        if node.kind in _CHANNELS_FIRST:
            return own[1] if own[1] else None
        if node.kind == "Transpose":
            order = node.wholes("perm") or tuple(reversed(range(len(own))))
            axes[node.outputs[0]] = tuple(own[axis] for axis in order)
        elif node.kind in _NEUTRAL and all(n in axes or n in constants for n in node.inputs if n):
            axes |= {output: own for output in node.outputs if output}
    is_image = len(shape) == 4 and shape[1] in _COLOURS and shape[3] not in _COLOURS
    return 1 if is_image else None
