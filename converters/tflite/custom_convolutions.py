"""Transposed convolutions of MediaPipe, which are custom operators, as the builtin of today.

Convolution2DTransposeBias is from before TRANSPOSE_CONV had a bias. XNNPACK still computes it; the
kernels of reference and TensorFlow's quantizer do not know it.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.tflite.unpacked import UnpackedModel

_NAME = "Convolution2DTransposeBias"
#: Number of a padding in the options of the custom operator to its number in the schema.
_PADDINGS = {1: schema.Padding.SAME, 2: schema.Padding.VALID}
#: First version of TRANSPOSE_CONV that takes a bias.
_VERSION = 3


def replace_custom_convolutions(model: UnpackedModel) -> None:
    """Make a TRANSPOSE_CONV of each Convolution2DTransposeBias.

    Args:
        model: File that is changed. An operator of another form stays what it is.
    """
    for operator in model.operators:
        if model.op(operator) != "CUSTOM" or model.custom_name(operator) != _NAME:
            continue
        numbers = operator.customOptions
        content = b"" if numbers is None else bytes(bytearray(numbers))
        if len(content) < 12 or len(operator.inputs) != 3:
            continue
        padding, width, height = np.frombuffer(content[:12], "<i4").tolist()
        if padding not in _PADDINGS or min(width, height) < 1:
            continue
        options = schema.TransposeConvOptionsT()
        options.padding = _PADDINGS[padding]
        options.strideW, options.strideH = width, height
        source, kernel, bias = (int(tensor) for tensor in operator.inputs)
        shape = model.add_integers(list(model.shape(int(operator.outputs[0]))))
        model.set_op(
            operator, "TRANSPOSE_CONV", options, schema.BuiltinOptions.TransposeConvOptions
        )
        model.model.operatorCodes[operator.opcodeIndex].version = _VERSION
        operator.inputs, operator.customOptions = [shape, kernel, source, bias], None
