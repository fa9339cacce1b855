"""Stores the weights of a float .tflite in fewer bits: the only import of ai-edge-quantizer.

It leaves the version of every op at 1, and a runtime that goes by these answers wrongly without a
word (`converters.tflite.kernel_needs`); so the versions are mended here.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from ai_edge_quantizer import algorithm_manager, qtyping, quantizer

from converters.draft import DYNAMIC, F16, WEIGHT_ONLY
from converters.errors import ConversionError
from converters.tflite.unpacked import Unpacked

#: The smallest kernel worth it, as in TensorFlow's converter; a scale of each channel takes room.
_LEAST_ELEMENTS = 1024


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
            made.update_quantization_recipe(
                ".*",
                qtyping.TFLOperationName.ALL_SUPPORTED,
                _config(numbers),
                _ALGORITHMS[numbers],
            )
            quantized = made.quantize(enable_progress_report=False).quantized_model
    except (ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        raise ConversionError(
            f"ai-edge-quantizer refuses the model: {error}", "use the recipe ptq_w8a8"
        ) from error
    mended = Unpacked(bytes(quantized))
    mended.set_least_versions()
    return mended.packed()


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
