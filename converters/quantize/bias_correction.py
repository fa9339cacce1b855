"""Empirical bias correction: the mean error that rounding adds to a channel goes out of its bias.

    b' = b + E[y_float] - E[y_quantized]

for each layer in the order of execution; the layers before it are already quantized and corrected
(Nagel et al., 2019, section 4.2, with real samples in the place of assumed distributions).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import Samples
from converters.progress import Progress, Report
from converters.tflite.quantization import quantize_inputs
from converters.tflite.run import run_inside
from converters.tflite.unpacked import UnpackedModel

Doubles = npt.NDArray[np.float64]

#: Number of samples that are enough for a mean.
_SAMPLES = 64
#: Ops with a bias, their third operand.
_WITH_BIAS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def correct_biases(
    content: bytes, quantize: Callable[[bytes], bytes], samples: Samples, report: Report
) -> tuple[bytes, int]:
    """Correct the biases of a float .tflite for the mean error of its quantization.

    Args:
        content: The float file.
        quantize: Function of a float file to an integer file.
        samples: Real samples, to measure means on.
        report: Function that receives the progress after each layer.

    Returns:
        The float file with corrected biases, and the number of layers that were corrected.
    """
    model = UnpackedModel(content)
    layers = [
        (int(op.outputs[0]), int(op.inputs[2]))
        for op in model.operators
        if model.op(op) in _WITH_BIAS
        and len(op.inputs) > 2
        and op.inputs[2] >= 0
        and model.constant(int(op.inputs[2])) is not None
        and not model.is_shared(int(op.inputs[2]))
    ]
    batch = samples.batch(slice(0, _SAMPLES))
    expected = _means(content, batch, [model.name(tensor) for tensor, _ in layers])
    count = 0
    for done, (tensor, bias) in enumerate(layers, start=1):
        name = model.name(tensor)
        means = _means(quantize(model.pack()), batch, [name])
        old = model.constant(bias)
        if name in means and old is not None:
            model.set_constant(bias, old + expected[name] - means[name])
            count += 1
        report(Progress("correct biases", done, len(layers)))
    return model.pack(), count


def _means(content: bytes, batch: npt.NDArray[Any], names: list[str]) -> dict[str, Doubles]:
    """Name of each tensor that the file has to the mean of each channel, shape (channels,)."""
    model = UnpackedModel(content)
    positions = {model.name(i): i for i in range(len(model.tensors))}
    present = [name for name in names if name in positions]
    specs = [model.spec(positions[name]) for name in present]
    inputs = quantize_inputs([model.spec(position) for position in model.inputs], batch)
    sums: list[Doubles] = [np.zeros(spec.shape[-1]) for spec in specs]
    for values in run_inside(content, [inputs], [positions[name] for name in present]):
        for position, (spec, array) in enumerate(zip(specs, values, strict=True)):
            real = array.astype(np.float64)
            if spec.scale is not None:
                real = (real - (spec.zero_point or 0)) * spec.scale
            sums[position] = sums[position] + real.reshape(-1, real.shape[-1]).mean(axis=0)
    return {name: total / len(batch) for name, total in zip(present, sums, strict=True)}
