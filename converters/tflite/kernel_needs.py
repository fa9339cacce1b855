"""Which version of an op the types of its tensors call for, whatever version a file claims.

A runtime looks a kernel up by the claimed version alone. A file that claims too little (those of
ai-edge-quantizer claim 1 throughout) is loaded by a runtime whose kernel does not know its tensors:
tflite-runtime 2.14.0 reads one scale of a Dense kernel that has many, and answers wrongly without
a word.

Source of the rules: tflite/converter/tools/versioning/op_version.cc of google-ai-edge/LiteRT,
commit 119ae633cc864d7c797a4b259706961f4baf22ed. Only those are here where weights have another type
than what they meet: tests/converters/test_op_contract.py asks real runtimes about them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Operand(NamedTuple):
    """A tensor that an op takes.

    Attributes:
        dtype: Such as "float32".
        scales: How many it has: 0 for none, 1 per tensor, more per channel.
    """

    dtype: str
    scales: int


#: Ops that take floats and int8 weights (the second operand): the version for weights of one scale,
#: and that for a scale of each channel.
_DYNAMIC_RANGE = {
    "CONV_2D": (2, 5),
    "DEPTHWISE_CONV_2D": (4, 6),
    "FULLY_CONNECTED": (3, 12),
    "EMBEDDING_LOOKUP": (1, 4),
}
#: What DEQUANTIZE takes, to its version.
_DEQUANTIZED = {"int8": 2, "float16": 3, "int16": 3}
_DEQUANTIZED_PER_CHANNEL = 5


def least_version(op: str, operands: Sequence[Operand | None]) -> int:
    """The lowest version of an op whose kernel knows these operands.

    Args:
        op: Name of the builtin.
        operands: What it takes, in order; None for one that was left out.

    Returns:
        From 1; 1 where no rule speaks of them.
    """
    present = [operand for operand in operands if operand is not None]
    if op == "DEQUANTIZE" and present:
        per_channel = present[0].scales > 1
        return _DEQUANTIZED_PER_CHANNEL if per_channel else _DEQUANTIZED.get(present[0].dtype, 1)
    if op in _DYNAMIC_RANGE and len(operands) > 1:
        taken, weights = operands[:2]
        floats = op == "EMBEDDING_LOOKUP" or taken is not None and taken.dtype == "float32"
        if floats and weights is not None and weights.dtype == "int8":
            return _DYNAMIC_RANGE[op][weights.scales > 1]
    return 1
