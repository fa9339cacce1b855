"""Weights in fewer bits, and layers with 16-bit activations: the only import of ai-edge-quantizer.

It leaves the version of every op at 1. A runtime that relies on these versions gives wrong answers
without a message (`converters.tflite.kernel_needs`), so the versions are corrected here.
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

#: Smallest number of weights in a kernel that is quantized, as in TensorFlow's converter; the
#: scales of the channels need space too.
_LEAST_ELEMENTS = 1024
_ALL_OPS = qtyping.TFLOperationName.ALL_SUPPORTED


def quantize_weights(content: bytes, numbers: str) -> bytes:
    """Quantize the weights alone.

    Args:
        content: Float .tflite.
        numbers: Kind of quantization: `DYNAMIC`, `WEIGHT_ONLY` or `F16`.

    Raises:
        ConversionError: ai-edge-quantizer refuses the model.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="kedge-") as folder:
            path = Path(folder) / "float.tflite"
            path.write_bytes(content)
            edge_quantizer = quantizer.Quantizer(str(path))
            edge_quantizer.update_quantization_recipe(
                ".*", _ALL_OPS, _config(numbers), _ALGORITHMS[numbers]
            )
            quantized = edge_quantizer.quantize(enable_progress_report=False).quantized_model
    except (ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        raise _refusal(error) from error
    model = UnpackedModel(bytes(quantized))
    model.set_least_versions()
    return model.pack()


def add_int16_layers(
    content: bytes, layers: Collection[str], ranges: Mapping[str, tuple[float, float]]
) -> tuple[bytes, tuple[str, ...]]:
    """Give float layers of a quantized .tflite 16-bit activations and 8-bit weights.

    A QUANTIZE converts 16 bits to 8, a DEQUANTIZE and a QUANTIZE convert 8 bits to 16.

    Args:
        content: File of 8 bits in which these layers, and perhaps others, compute in floats.
        layers: Names of the output tensors of the layers.
        ranges: Name of each float activation to its lowest and highest number.

    Returns:
        The file, and those of the layers that have 16-bit activations in it: some ops have no such
        kernel.

    Raises:
        ConversionError: ai-edge-quantizer refuses the model.
    """
    model = UnpackedModel(content)
    names = _original_names(model, ranges)
    edge_quantizer = quantizer.Quantizer(bytearray(content))
    for name, original in names.items():
        if original in layers:
            edge_quantizer.add_static_config(f"^{re.escape(name)};?$", _ALL_OPS, 16, 8)
    if not edge_quantizer.get_quantization_recipe():
        return content, ()
    try:
        quantized = edge_quantizer.quantize(
            _calibration(model, names, ranges), enable_progress_report=False
        )
    except (ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        raise _refusal(error) from error
    result = UnpackedModel(bytes(quantized.quantized_model))
    result.join_conversions()
    result.set_least_versions()
    outputs = {int(i) for op in result.operators for i in op.outputs}
    int16 = {result.name(i) for i in outputs if result.spec(i).dtype == "int16"}
    int16_layers = {original for name, original in names.items() if name in int16}
    return result.pack(), tuple(layer for layer in layers if layer in int16_layers)


def _original_names(model: UnpackedModel, originals: Collection[str]) -> dict[str, str]:
    """Name of each float activation of a partly quantized file to its name in the float file.

    If an output of the model is computed in floats, TensorFlow's quantizer adds a number to the end
    of its name, because the integer tensor after it now has the original name.
    """
    names = {}
    for name in map(model.name, model.activations()):
        numbered = [other for other in originals if name.removeprefix(other).isdigit()]
        if name in originals or numbered:
            names[name] = name if name in originals else max(numbered, key=len)
    return names


def _calibration(
    model: UnpackedModel, names: Mapping[str, str], ranges: Mapping[str, tuple[float, float]]
) -> dict[str, dict[str, npt.NDArray[np.float32]]]:
    """Name of each float activation to its range in the form of ai-edge-quantizer."""
    bounds = {name: ranges[original] for name, original in names.items()}
    for operator in model.operators:
        source = model.spec(int(operator.inputs[0])) if len(operator.inputs) else None
        if model.op(operator) == "DEQUANTIZE" and source is not None and source.scale is not None:
            steps, zero = np.iinfo(source.dtype), source.zero_point or 0
            ends = (steps.min - zero) * source.scale, (steps.max - zero) * source.scale
            bounds[model.name(int(operator.outputs[0]))] = ends
    ranks = {model.name(i): len(model.shape(i)) for i in model.activations()}
    return {
        name: {
            "min": np.full((1,) * ranks[name], low, np.float32),
            "max": np.full((1,) * ranks[name], high, np.float32),
        }
        for name, (low, high) in bounds.items()
    }


def _refusal(error: Exception) -> ConversionError:
    return ConversionError(
        f"ai-edge-quantizer refuses the model: {error}", "Use the recipe ptq_w8a8"
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
