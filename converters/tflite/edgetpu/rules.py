"""The rules by which the Edge TPU compiler takes an operator or leaves it to the CPU.

From Coral's table of supported operations ("TensorFlow models on the Edge TPU", coral.ai/docs,
compiler 16.0). What is not in that table and was seen in a case only is marked as learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from converters.tflite.edgetpu.operator import EdgetpuOperator

#: Types of tensors that the Edge TPU computes with; int32 is the type of biases and of sizes.
_QUANTIZED = ("int8", "uint8", "int16")
#: Most axes that may be larger than 1, the innermost ones.
_MOST_AXES = 3
#: Largest number of values of a softmax.
_MOST_OF_SOFTMAX = 16_000
#: Newest version of RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR that the compiler knows.
_NEWEST_RESIZE = 2

Check = Callable[[EdgetpuOperator], str]


@dataclass(frozen=True)
class Rule:
    """One condition on an operator."""

    condition: str
    """Condition in words, for the docs."""
    check: Check
    """Function that returns the reason why an operator breaks the condition, "" where it holds."""
    fix: str
    """Next step for the user; a sentence."""
    learnt_from: str = ""
    """Case from which it was learnt; "" for a rule of Coral's table."""


def _dtypes(operator: EdgetpuOperator) -> str:
    tensors = [*operator.inputs, *operator.outputs]
    if operator.op == "QUANTIZE" and operator.inputs[0].dtype not in _QUANTIZED:
        return f"it takes {operator.inputs[0].dtype}"
    computed = [tensor for tensor in tensors if not tensor.is_constant]
    wrong = next((t for t in computed if t.dtype not in _QUANTIZED), None)
    return "" if wrong is None else f"it computes with {wrong.dtype}"


def _fixed(operator: EdgetpuOperator) -> str:
    is_dynamic = any(tensor.is_dynamic for tensor in (*operator.inputs, *operator.outputs))
    return "the size of an axis is open" if is_dynamic else ""


def _axes(operator: EdgetpuOperator) -> str:
    for tensor in (*operator.inputs, *operator.outputs):
        if not tensor.is_constant and len(tensor.inner_shape) > _MOST_AXES:
            return f"a tensor has the shape {list(tensor.shape)}"
    return ""


def _constant_weights(operator: EdgetpuOperator) -> str:
    is_constant = all(tensor.is_constant for tensor in operator.inputs[1:])
    return "" if is_constant else "its weights are computed"


def _no_activation(operator: EdgetpuOperator) -> str:
    return "it has an activation function" if operator.option("fusedActivationFunction") else ""


def _concatenation(operator: EdgetpuOperator) -> str:
    constants = [value for value in operator.constants if value is not None]
    if not constants:
        return ""
    if len(operator.inputs) != 2:
        return f"one of {len(operator.inputs)} inputs is constant"
    return "its constant is not all zeros" if np.any(constants[0]) else ""


def _equal_dilation(operator: EdgetpuOperator) -> str:
    width, height = operator.option("dilationWFactor", 1), operator.option("dilationHFactor", 1)
    return "" if width == height else f"its dilation is {height} by {width}"


def _plain_weights(operator: EdgetpuOperator) -> str:
    return "its weights are shuffled" if operator.option("weightsFormat") else ""


def _flat_output(operator: EdgetpuOperator) -> str:
    shape = operator.outputs[0].inner_shape
    return "" if len(shape) <= 1 else f"its output has the shape {list(operator.outputs[0].shape)}"


def _not_over_batch(operator: EdgetpuOperator) -> str:
    axes = operator.constants[1] if len(operator.constants) > 1 else None
    if axes is None:
        return "its axes are computed"
    rank = len(operator.inputs[0].shape)
    is_batch = any(int(axis) % max(1, rank) == 0 for axis in np.ravel(axes))
    return "it works over the batch axis" if is_batch and operator.inputs[0].shape[0] > 1 else ""


def _mean_over_channels(operator: EdgetpuOperator) -> str:
    axes = operator.constants[1] if len(operator.constants) > 1 else None
    shape = operator.inputs[0].shape
    if axes is None or not shape:
        return ""
    is_last = any(int(axis) % len(shape) == len(shape) - 1 for axis in np.ravel(axes))
    return f"it averages {shape[-1]} channels" if is_last and shape[-1] % 4 else ""


def _pack_axis(operator: EdgetpuOperator) -> str:
    return "it packs along the batch axis" if operator.option("axis") == 0 else ""


def _split_axis(operator: EdgetpuOperator) -> str:
    axis = operator.constants[0] if operator.op == "SPLIT" else operator.constants[2]
    return "it splits the batch axis" if axis is not None and int(np.ravel(axis)[0]) == 0 else ""


def _pad_batch(operator: EdgetpuOperator) -> str:
    pads = operator.constants[1] if len(operator.constants) > 1 else None
    if pads is None:
        return "its padding is computed"
    is_batch = pads.ndim == 2 and len(pads) == 4 and np.any(pads[0])
    return "it pads the batch axis" if is_batch else ""


def _alpha_by_channel(operator: EdgetpuOperator) -> str:
    shape = operator.inputs[1].inner_shape
    return "" if len(shape) <= 1 else f"its alpha has the shape {list(operator.inputs[1].shape)}"


def _resize_version(operator: EdgetpuOperator) -> str:
    if operator.version > _NEWEST_RESIZE:
        return f"its version is {operator.version}"
    return "it takes half pixels as centers" if operator.option("halfPixelCenters") else ""


def _resize_of_one(operator: EdgetpuOperator) -> str:
    shape = operator.inputs[0].shape
    is_one = len(shape) == 4 and shape[1] == shape[2] == 1 != operator.outputs[0].shape[1]
    return "it widens a single pixel" if is_one else ""


def _softmax(operator: EdgetpuOperator) -> str:
    shape = operator.inputs[0].inner_shape
    if len(shape) > 1:
        return f"its input has the shape {list(operator.inputs[0].shape)}"
    size = int(np.prod(shape, dtype=np.int64))
    return f"it has {size} values" if size > _MOST_OF_SOFTMAX else ""


def _strides(operator: EdgetpuOperator) -> str:
    strides = operator.constants[3] if len(operator.constants) > 3 else None
    if strides is None or np.any(strides != 1):
        return "its strides are not all 1"
    masks = operator.option("ellipsisMask") or operator.option("newAxisMask")
    return "it has an ellipsis or a new axis" if masks else ""


def _forward(operator: EdgetpuOperator) -> str:
    return "it is bidirectional" if operator.op.startswith("BIDIRECTIONAL") else ""


_CONSTANT = Rule(
    "Weights, bias, axes and paddings are constants.",
    _constant_weights,
    "Build the layer with weights that are stored in the model.",
)
_NO_ACTIVATION = Rule(
    "No activation function is part of the operator.",
    _no_activation,
    "Make the activation a layer of its own.",
)
_NOT_OVER_BATCH = Rule(
    "It does not work over the batch axis.",
    _not_over_batch,
    "Convert for a batch of one, and reduce over the other axes.",
)
_RESIZE = (
    Rule(
        f"Version {_NEWEST_RESIZE} or older, without half pixels as centers.",
        _resize_version,
        "Resize with half_pixel_centers=False (tf.compat.v1.image.resize), or by UpSampling2D of "
        "a nearest neighbor.",
    ),
    Rule(
        "The input has more than one pixel.",
        _resize_of_one,
        "Broadcast the single pixel by an addition or a concatenation of its copies.",
        "the DeepLab v3 pair: a RESIZE_BILINEAR from 1x1 to 33x33 stays on the CPU",
    ),
)

_BASIC_RULES = (
    Rule(
        "Every computed tensor is int8, uint8 or int16, also at QUANTIZE.",
        _dtypes,
        "Quantize it: kedge convert --recipe ptq_w8a8 or qat_w8a8; floats belong at the ends.",
    ),
    Rule(
        "The sizes of all axes are constant.",
        _fixed,
        "Build the model again with inputs of fixed sizes.",
    ),
)
_AXES_RULE = Rule(
    "No more than the three innermost axes are larger than 1.",
    _axes,
    "Convert for a batch of one.",
)
#: Conditions on every operator.
GENERAL_RULES = (*_BASIC_RULES, _AXES_RULE)

_NONE: tuple[Rule, ...] = ()
_CONV = (
    Rule("Equal dilations.", _equal_dilation, "Use the same dilation in both directions."),
    _CONSTANT,
)

#: Name of each op that the compiler knows to the conditions on it.
OP_RULES: Mapping[str, tuple[Rule, ...]] = {
    **dict.fromkeys(("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"), _NONE),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), (_NO_ACTIVATION,)),
    "CONCATENATION": (
        _NO_ACTIVATION,
        Rule(
            "Of two inputs one may be constant, and then it is all zeros.",
            _concatenation,
            "Join computed tensors only; zeros may also be a padding.",
        ),
    ),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), _CONV),
    "EXPAND_DIMS": _NONE,
    "FULLY_CONNECTED": (
        Rule("Weights in the default format.", _plain_weights, "Convert without shuffled weights."),
        Rule(
            "The output has one axis.",
            _flat_output,
            "Use a convolution of 1x1 for a map or a series.",
        ),
        _CONSTANT,
    ),
    **dict.fromkeys(
        ("L2_NORMALIZATION", "LOGISTIC", "TANH", "RELU", "RELU6", "RELU_N1_TO_1"), _NONE
    ),
    **dict.fromkeys(
        ("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM"),
        (Rule("One direction only.", _forward, "Use a layer that is not bidirectional."),),
    ),
    "MEAN": (
        _NOT_OVER_BATCH,
        Rule(
            "An average over channels has a multiple of four of them.",
            _mean_over_channels,
            "Make the number of channels a multiple of four.",
        ),
    ),
    **dict.fromkeys(("SUM", "REDUCE_MAX", "REDUCE_MIN"), (_NOT_OVER_BATCH,)),
    "PACK": (Rule("Not along the batch axis.", _pack_axis, "Pack along another axis."),),
    "PAD": (Rule("Not along the batch axis.", _pad_batch, "Pad the other axes only."),),
    "PRELU": (
        Rule(
            "One alpha a channel.",
            _alpha_by_channel,
            "Build PReLU with shared_axes=[1, 2].",
        ),
    ),
    **dict.fromkeys(("QUANTIZE", "RESHAPE", "SQUEEZE", "SLICE", "SPACE_TO_DEPTH"), _NONE),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), _RESIZE),
    **dict.fromkeys(("RSQRT", "SQUARED_DIFFERENCE", "TRANSPOSE", "TRANSPOSE_CONV"), _NONE),
    "SOFTMAX": (
        Rule(
            f"One axis of at most {_MOST_OF_SOFTMAX:,} values.",
            _softmax,
            "Leave the softmax of a map out of the model, or at its end.",
        ),
    ),
    **dict.fromkeys(
        ("SPLIT", "SPLIT_V"),
        (Rule("Not along the batch axis.", _split_axis, "Split another axis."),),
    ),
    "STRIDED_SLICE": (
        Rule(
            "All strides are 1; no ellipsis, no new axis.",
            _strides,
            "Slice without steps, and add an axis by a reshape.",
        ),
    ),
}

#: Op that the compiler does not know to what may stand in its place.
REPLACEMENTS: Mapping[str, str] = {
    "LEAKY_RELU": "Use ReLU, ReLU6 or PReLU with shared_axes=[1, 2].",
    "HARD_SWISH": "Use ReLU6, as in the minimalistic MobileNetV3.",
    "GELU": "Use ReLU6, or tanh and products of it.",
    "ELU": "Use ReLU6 or PReLU with shared_axes=[1, 2].",
    "DIV": "Multiply by the reciprocal, if it is constant.",
    "DEQUANTIZE": "Convert with a recipe of full int8: ptq_w8a8 or qat_w8a8.",
    "ARG_MAX": "Leave it out: the application finds the largest score.",
    "CUSTOM": "Leave it at the end of the model, where the CPU runs it.",
    "BATCH_MATMUL": "Use convolutions; attention stays on the CPU.",
    "GATHER": "Slice with constant bounds.",
}
#: Fix for every other op that the compiler does not know.
OTHER_REPLACEMENT = (
    "Replace it by operators of the table in docs/edgetpu.md, or move it to the end."
)


def reason_for_cpu(operator: EdgetpuOperator) -> tuple[str, str, str]:
    """Return why the compiler leaves an operator to the CPU.

    Args:
        operator: Operator of a file.

    Returns:
        Reason, next step for the user, and the case from which the rule was learnt ("" for a rule
        of Coral's table); three times "" where the operator fits.
    """
    if operator.op not in OP_RULES:
        fix = REPLACEMENTS.get(operator.op, OTHER_REPLACEMENT)
        return "the compiler does not know this op", fix, ""
    for rule in (*_BASIC_RULES, *OP_RULES[operator.op], _AXES_RULE):
        reason = rule.check(operator)
        if reason:
            return reason, rule.fix, rule.learnt_from
    return "", "", ""
