"""The finished .tflite, written as ONNX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from converters.errors import ConversionError
from converters.onnx.write import arithmetic, convolutions, movements, recurrent, reductions
from converters.onnx.write.values import LAST, Values
from converters.tflite.unpacked import UnpackedModel
from device_agent.contract.onnx_scales import SCALES_KEY, IntegerScale, scales_to_text
from device_agent.contract.tensors import unique_names

#: Op of TFLite to the function that writes it.
RULES: dict[str, Callable[[Values, Any], None]] = {
    **convolutions.RULES,
    **arithmetic.RULES,
    **movements.RULES,
    **reductions.RULES,
    **recurrent.RULES,
}


def onnx_of_tflite(content: bytes, symmetric: bool = False) -> bytes:
    """Write a .tflite as ONNX of opset 13, for every ONNX Runtime from 1.14 on.

    Inputs and outputs keep their names, their order of axes and, where quantized, their scales;
    int8 becomes uint8, whose zero points are higher by 128. The scales stand in the metadata.

    Args:
        content: File that went through `converters.tflite.reader.read_model`; its first subgraph
            is written.
        symmetric: Whether all quantized tensors are int8 with the zero point 0, and inputs and
            outputs are float32, which TensorRT needs; the scales of activations then differ from
            those of the .tflite.

    Returns:
        Content of the .onnx.

    Raises:
        MissingConvertExtraError: Package `onnx` is not installed.
        ConversionError: An op cannot be written; the message names it.
    """
    model = UnpackedModel(content)
    absent = Counter(name for name in map(model.op, model.operators) if name not in RULES)
    if absent:
        names = ", ".join(f"{name} ({count})" for name, count in absent.most_common())
        raise ConversionError(
            f"the model has ops that kedge does not write as ONNX: {names}",
            "Use --format tflite, or build the model without them.",
        )
    values = Values(model, symmetric)
    inputs = _names(model, model.inputs)
    for tensor, name in inputs.items():
        own = values.builder.name(name)
        values.set(tensor, values.quantize(tensor, own) if symmetric else own)
    outputs = {tensor: values.builder.name(name) for tensor, name in
               _names(model, model.outputs).items()}  # fmt: skip
    for op in model.operators:
        try:
            RULES[model.op(op)](values, op)
        except ConversionError as error:
            raise ConversionError(
                f"{model.op(op)} cannot be written as ONNX: {error}",
                error.hint or "Use --format tflite.",
            ) from error
    for tensor, name in outputs.items():
        result = values.real(tensor, LAST) if symmetric else values.get(tensor, LAST)
        values.builder.rename_output(result, name)
    if symmetric:
        return values.builder.content(_real_forms(values, inputs), _real_forms(values, outputs), {})
    scales = {}
    for tensor, name in [*inputs.items(), *outputs.items()]:
        scale = _scale(values, tensor)
        if scale is not None:
            scales[name] = scale
    metadata = {SCALES_KEY: scales_to_text(scales)}
    return values.builder.content(_forms(values, inputs), _forms(values, outputs), metadata)


def _forms(values: Values, names: dict[int, str]) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {
        name: (values.stored_type(tensor), values.shape(tensor)) for tensor, name in names.items()
    }


def _real_forms(values: Values, names: dict[int, str]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Forms of inputs and outputs of which the quantized ones are float32."""
    return {
        name: (dtype if values.quantization(tensor) is None else "float32", shape)
        for tensor, (name, (dtype, shape)) in zip(names, _forms(values, names).items(), strict=True)
    }


def _names(model: UnpackedModel, tensors: list[int]) -> dict[int, str]:
    names = unique_names([model.name(tensor) for tensor in tensors])
    return dict(zip(tensors, names, strict=True))


def _scale(values: Values, tensor: int) -> IntegerScale | None:
    quantization = values.quantization(tensor)
    if quantization is None:
        return None
    shift = 128 if values.stored_type(tensor) != values.dtype(tensor) else 0
    return IntegerScale(float(quantization.scales[0]), int(quantization.points[0]) + shift)
