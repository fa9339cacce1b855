"""Weights in fewer bits, and layers with 16-bit activations: the only import of ai-edge-quantizer.

It leaves the version of every op at 1, and a runtime that goes by these answers wrongly without a
word (`converters.tflite.kernel_needs`); so the versions are mended here.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ai_edge_quantizer import algorithm_manager, qtyping, quantizer

from converters.draft.draft import DYNAMIC, F16, WEIGHT_ONLY
from converters.errors import ConversionError
from converters.tflite.unpacked import UnpackedModel

#: The smallest kernel worth it, as in TensorFlow's converter; a scale of each channel takes room.
_LEAST_ELEMENTS = 1024
_ALL_OPS = qtyping.TFLOperationName.ALL_SUPPORTED


def with_stored_weights(content: bytes, numbers: str) -> bytes:
    """Quantize the weights alone.

    Args:
        content: A float .tflite.
        numbers: `DYNAMIC`, `WEIGHT_ONLY` or `F16`.

    Raises:
        ConversionError: ai-edge-quantizer refuses the model.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="kedge-") as folder:
            path = Path(folder) / "float.tflite"
            path.write_bytes(content)
            made = quantizer.Quantizer(str(path))
            made.update_quantization_recipe(".*", _ALL_OPS, _config(numbers), _ALGORITHMS[numbers])
            quantized = made.quantize(enable_progress_report=False).quantized_model
    except (ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        raise _refused(error) from error
    mended = UnpackedModel(bytes(quantized))
    mended.set_least_versions()
    return mended.pack()


def with_int16_layers(
    content: bytes, layers: Collection[str], ranges: Mapping[str, tuple[float, float]]
) -> tuple[bytes, tuple[str, ...]]:
    """Give layers that a quantized .tflite leaves in floats 16-bit activations and 8-bit weights.

    From 16 bits to 8 leads a QUANTIZE, from 8 to 16 a DEQUANTIZE and a QUANTIZE.

    Args:
        content: Of 8 bits, but for these layers and perhaps others.
        layers: Names of the tensors that they give.
        ranges: Name of each float activation to its lowest and highest number.

    Returns:
        The file, and which of the layers compute so in it: for some ops there is no such kernel.

    Raises:
        ConversionError: ai-edge-quantizer refuses the model.
    """
    model = UnpackedModel(content)
    called = _original_names(model, ranges)
    made = quantizer.Quantizer(bytearray(content))
    for name, original in called.items():
        if original in layers:
            made.add_static_config(f"^{re.escape(name)};?$", _ALL_OPS, 16, 8)
    if not made.get_quantization_recipe():
        return content, ()
    try:
        quantized = made.quantize(_calibration(model, called, ranges), enable_progress_report=False)
    except (ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        raise _refused(error) from error
    mended = UnpackedModel(bytes(quantized.quantized_model))
    mended.join_conversions()
    mended.set_least_versions()
    outputs = {int(i) for op in mended.operators for i in op.outputs}
    int16 = {mended.name(i) for i in outputs if mended.spec(i).dtype == "int16"}
    found = {original for name, original in called.items() if name in int16}
    return mended.pack(), tuple(layer for layer in layers if layer in found)


def _original_names(model: UnpackedModel, known: Collection[str]) -> dict[str, str]:
    """Name of each float activation of a partly quantized file to its name in the float file.

    TensorFlow's quantizer puts a number behind the name of an output of the model that is computed
    in floats, as the integers behind it are called so now.
    """
    found = {}
    for name in map(model.name, model.activations()):
        numbered = [other for other in known if name.removeprefix(other).isdigit()]
        if name in known or numbered:
            found[name] = name if name in known else max(numbered, key=len)
    return found


def _calibration(
    model: UnpackedModel, called: Mapping[str, str], ranges: Mapping[str, tuple[float, float]]
) -> dict[str, dict[str, npt.NDArray[np.float32]]]:
    """Name of each float activation to its range, as ai-edge-quantizer takes it."""
    bounds = {name: ranges[original] for name, original in called.items()}
    for operator in model.operators:
        taken = model.spec(int(operator.inputs[0])) if len(operator.inputs) else None
        if model.op(operator) == "DEQUANTIZE" and taken is not None and taken.scale is not None:
            steps, zero = np.iinfo(taken.dtype), taken.zero_point or 0
            ends = (steps.min - zero) * taken.scale, (steps.max - zero) * taken.scale
            bounds[model.name(int(operator.outputs[0]))] = ends
    ranks = {model.name(i): len(model.shape(i)) for i in model.activations()}
    return {
        name: {
            "min": np.full((1,) * ranks[name], low, np.float32),
            "max": np.full((1,) * ranks[name], high, np.float32),
        }
        for name, (low, high) in bounds.items()
    }


def _refused(error: Exception) -> ConversionError:
    return ConversionError(
        f"ai-edge-quantizer refuses the model: {error}", "use the recipe ptq_w8a8"
    )


_ALGORITHMS = {
    DYNAMIC: algorithm_manager.AlgorithmName.MIN_MAX_UNIFORM_QUANT,
    WEIGHT_ONLY: algorithm_manager.AlgorithmName.MIN_MAX_UNIFORM_QUANT,
    F16: algorithm_manager.AlgorithmName.FLOAT_CASTING,
}


def _config(numbers: str) -> qtyping.OpQuantizationConfig:
    if numbers == F16:
        weights = qtyping.TensorQuantizationConfig(16, dtype=qtyping.TensorDataType.FLOAT)
    else:
        weights = qtyping.TensorQuantizationConfig(
            8, symmetric=True, granularity=qtyping.QuantGranularity.CHANNELWISE
        )
    dynamic = numbers == DYNAMIC
    precision = qtyping.ComputePrecision
    return qtyping.OpQuantizationConfig(
        weight_tensor_config=weights,
        compute_precision=precision.INTEGER if dynamic else precision.FLOAT,
        explicit_dequantize=not dynamic,
        min_weight_elements=_LEAST_ELEMENTS,
    )
