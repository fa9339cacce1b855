"""Operators that copy numbers: what they give has the scale of what they take.

TensorFlow's quantizer for 8 bits forgets that for two of them. The kernel of REVERSE_V2 copies
bytes: in a file of a Bidirectional layer whose steps go into another layer, the numbers of the
backward direction would be read with a scale that is not theirs. ONE_HOT copies its two constants,
of which each gets a scale of its own: the zeros would be read as 0.5.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
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
#: Operators whose kernels copy the bytes of several inputs, and the places of these inputs.
_JOINS = {
    "DYNAMIC_UPDATE_SLICE": (0, 1),
    "ONE_HOT": (2, 3),
    "PADV2": (0, 2),
    "SELECT": (1, 2),
    "SELECT_V2": (1, 2),
}


def convert_copied_numbers(model: UnpackedModel) -> int:
    """Convert what an operator copies to the scale that its readers expect.

    Args:
        model: Quantized file that is changed.

    Returns:
        Number of operators that were added for it.
    """
    operators: list[Any] = []
    count = 0
    for operator in model.operators:
        before = _convert_joined(model, operator)
        operators += [*before, operator]
        count += len(before)
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


def _convert_joined(model: UnpackedModel, operator: Any) -> list[Any]:
    """Bring inputs that are copied to the scale of the output; constants are rounded anew.

    Returns:
        Operators that are to run before.
    """
    places = _JOINS.get(model.op(operator), ())
    if not places:
        return []
    inputs, output = [int(i) for i in operator.inputs], int(operator.outputs[0])
    before = []
    for place in places:
        source = inputs[place]
        if not _scales_differ(model, source, output):
            continue
        inputs[place] = _add_copy(model, source, output)
        if model.is_stored(source):
            _round_anew(model, source, inputs[place])
        else:
            before.append(_conversion(model, source, inputs[place]))
    operator.inputs = inputs
    return before


def _round_anew(model: UnpackedModel, source: int, target: int) -> None:
    """Store the numbers of a constant for a tensor of another scale."""
    raw = model.model.buffers[model.tensors[source].buffer].data
    old, new = model.spec(source), model.spec(target)
    stored = np.frombuffer(bytes(bytearray(raw)), np.int8).astype(np.float64)
    numbers = (stored - int(old.zero_point or 0)) * float(old.scale or 0)
    rounded = np.round(numbers / float(new.scale or 1)) + int(new.zero_point or 0)
    buffer = schema.BufferT()
    buffer.data = np.clip(rounded, -128, 127).astype(np.int8).view(np.uint8)
    model.model.buffers.append(buffer)
    model.tensors[target].buffer = len(model.model.buffers) - 1


def _scales_differ(model: UnpackedModel, source: int, output: int) -> bool:
    before, after = model.spec(source), model.spec(output)
    if not before.dtype == after.dtype == "int8" or None in (before.scale, after.scale):
        return False
    return (before.scale, before.zero_point) != (after.scale, after.zero_point)


def _add_copy(model: UnpackedModel, tensor_number: int, scaled: int) -> int:
    """Add a tensor like another one, with the scale of a third; return its position."""
    tensor = copy(model.tensors[tensor_number])
    tensor.name = f"{model.name(tensor_number)}_{len(model.tensors)}".encode()
    tensor.quantization = model.tensors[scaled].quantization
    model.tensors.append(tensor)
    return len(model.tensors) - 1


def _conversion(model: UnpackedModel, source: int, output: int) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = model.add_code("QUANTIZE")
    operator.inputs, operator.outputs = [source], [output]
    operator.builtinOptionsType = schema.BuiltinOptions.NONE
    return operator
