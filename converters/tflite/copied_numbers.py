"""Operators that copy numbers: what they give has the scale of what they take.

TensorFlow's quantizer for 8 bits forgets that for REVERSE_V2, whose kernel copies bytes: in a file
of a Bidirectional layer whose steps go into another layer, the numbers of the backward direction
would be read with a scale that is not theirs.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from converters.tflite.unpacked import UnpackedModel

#: Operators whose kernels copy the bytes of their first input, whatever the scales are.
_COPIES = frozenset(
    {
        "BATCH_TO_SPACE_ND",
        "BROADCAST_TO",
        "DEPTH_TO_SPACE",
        "EXPAND_DIMS",
        "GATHER",
        "GATHER_ND",
        "RESHAPE",
        "REVERSE_SEQUENCE",
        "REVERSE_V2",
        "SLICE",
        "SPACE_TO_BATCH_ND",
        "SPACE_TO_DEPTH",
        "SQUEEZE",
        "STRIDED_SLICE",
        "TILE",
        "TRANSPOSE",
        "UNPACK",
    }
)


def convert_copied_numbers(model: UnpackedModel) -> int:
    """Convert what an operator copies to the scale that its readers expect.

    Args:
        model: Quantized file that is changed.

    Returns:
        Number of tensors that are converted.
    """
    operators: list[Any] = []
    count = 0
    for operator in model.operators:
        operators.append(operator)
        if model.op(operator) not in _COPIES:
            continue
        source = int(operator.inputs[0])
        outputs = [int(i) for i in operator.outputs]
        for place, output in enumerate(outputs):
            if not _scales_differ(model, source, output):
                continue
            outputs[place] = _add_copy(model, output, source)
            operators.append(_conversion(model, outputs[place], output))
            count += 1
        operator.outputs = outputs
    model.operators[:] = operators
    return count


def _scales_differ(model: UnpackedModel, source: int, output: int) -> bool:
    before, after = model.spec(source), model.spec(output)
    if not before.dtype == after.dtype == "int8" or None in (before.scale, after.scale):
        return False
    return (before.scale, before.zero_point) != (after.scale, after.zero_point)


def _add_copy(model: UnpackedModel, output: int, source: int) -> int:
    """Add a tensor of the shape of an output, with the scale of a source."""
    tensor = deepcopy(model.tensors[output])
    tensor.name = f"{model.name(output)}_copied".encode()
    tensor.quantization = deepcopy(model.tensors[source].quantization)
    model.tensors.append(tensor)
    return len(model.tensors) - 1


def _conversion(model: UnpackedModel, source: int, output: int) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = model.add_code("QUANTIZE")
    operator.inputs, operator.outputs = [source], [output]
    operator.builtinOptionsType = schema.BuiltinOptions.NONE
    return operator
