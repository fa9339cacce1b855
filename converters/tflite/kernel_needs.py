"""Which version of an op the types of its tensors call for, whatever version a file claims.

A runtime looks a kernel up by the claimed version alone. A file that claims too little (those of
ai-edge-quantizer claim 1 throughout) is loaded by a runtime whose kernel does not know its tensors:
tflite-runtime 2.14.0 reads one scale of a Dense kernel that has many, and answers wrongly without
a word.

Source of the rules: tflite/converter/tools/versioning/op_version.cc of google-ai-edge/LiteRT,
commit 119ae633cc864d7c797a4b259706961f4baf22ed. Only those are here that files made by
ai-edge-quantizer need: weights of another type than what they meet, and activations of 16 bits.
tests/converters/test_op_contract.py and test_int16_layers.py ask real runtimes about them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Operand(NamedTuple):
    """A tensor that an op takes."""

    dtype: str
    """Such as "float32"."""
    scales: int
    """How many it has: 0 for none, 1 per tensor, more per channel."""


#: Ops that take floats and int8 weights (the second operand): the version for weights of one scale,
#: and that for a scale of each channel.
_DYNAMIC_RANGE = {
    "CONV_2D": (2, 5),
    "DEPTHWISE_CONV_2D": (4, 6),
    "FULLY_CONNECTED": (3, 12),
    "EMBEDDING_LOOKUP": (1, 4),
}
#: Type that DEQUANTIZE takes, to its version.
_DEQUANTIZED = {"int8": 2, "float16": 3, "int16": 3}
_DEQUANTIZED_PER_CHANNEL = 5

#: Ops with quantized int16 operands, to their version. Those of the first three are versions for
#: int16: the source gives them only where the weights are of int16 as well, which no kernel takes.
_INT16 = {
    **{"CONV_2D": 4, "DEPTHWISE_CONV_2D": 5, "FULLY_CONNECTED": 7},
    **{"ADD": 3, "SUB": 5, "MUL": 4, "MAXIMUM": 4, "MINIMUM": 4, "BATCH_MATMUL": 3},
    **{"AVERAGE_POOL_2D": 3, "MAX_POOL_2D": 3, "MEAN": 3, "REDUCE_MAX": 3, "REDUCE_MIN": 3},
    **{"LOGISTIC": 3, "TANH": 3, "SOFTMAX": 3, "RELU": 3, "RELU6": 3, "LEAKY_RELU": 2, "RSQRT": 3},
    **{"CONCATENATION": 3, "PAD": 3, "PADV2": 3, "MIRROR_PAD": 3, "TRANSPOSE": 5},
    **{"SPLIT": 4, "SLICE": 4, "PACK": 3, "UNPACK": 4, "SQRT": 2},
    **{"RESIZE_BILINEAR": 4, "RESIZE_NEAREST_NEIGHBOR": 4},
}


def least_version(op: str, operands: Sequence[Operand | None]) -> int:
    """Return the lowest version of an op whose kernel knows these operands.

    Args:
        op: Name of the builtin.
        operands: Operands of the op, in order; None for an optional one that is left out.

    Returns:
        From 1; 1 where no rule speaks of them.
    """
    present = [operand for operand in operands if operand is not None]
    if op == "DEQUANTIZE" and present:
        per_channel = present[0].scales > 1
        return _DEQUANTIZED_PER_CHANNEL if per_channel else _DEQUANTIZED.get(present[0].dtype, 1)
    if op in _DYNAMIC_RANGE and len(operands) > 1:
        activations, weights = operands[:2]
        floats = (
            op == "EMBEDDING_LOOKUP" or activations is not None and activations.dtype == "float32"
        )
        if floats and weights is not None and weights.dtype == "int8":
            return _DYNAMIC_RANGE[op][weights.scales > 1]
    is_int16 = any(operand.dtype == "int16" and operand.scales for operand in present)
    return _INT16.get(op, 1) if is_int16 else 1
