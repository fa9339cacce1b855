"""Empirical bias correction: what rounding adds to a channel on average is taken from its bias.

    b' = b + E[y_float] - E[y_quantized]

for each layer in the order in which they run, those before it being quantized and corrected
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

#: So many samples tell a mean.
_SAMPLES = 64
#: Ops of a bias: the third operand.
_WITH_BIAS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def corrected(
    content: bytes, quantized: Callable[[bytes], bytes], samples: Samples, report: Report
) -> tuple[bytes, int]:
    """Correct the biases of a float .tflite for what its quantization does.

    Args:
        content: The float file.
        quantized: Makes an integer file of one.
        samples: Real ones, to measure means on.
        report: Told about each layer.

    Returns:
        The float file with other biases, and how many layers were corrected.
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
    expected = _means(content, batch, [model.name(made) for made, _ in layers])
    count = 0
    for done, (made, bias) in enumerate(layers, start=1):
        name = model.name(made)
        found = _means(quantized(model.pack()), batch, [name])
        old = model.constant(bias)
        if name in found and old is not None:
            model.set_constant(bias, old + expected[name] - found[name])
            count += 1
        report(Progress("correct biases", done, len(layers)))
    return model.pack(), count


def _means(content: bytes, batch: npt.NDArray[Any], names: list[str]) -> dict[str, Doubles]:
    """Mean of each channel of the tensors that the file has of these."""
    model = UnpackedModel(content)
    positions = {model.name(i): i for i in range(len(model.tensors))}
    known = [name for name in names if name in positions]
    specs = [model.spec(positions[name]) for name in known]
    taken = quantize_inputs([model.spec(position) for position in model.inputs], batch)
    sums: list[Doubles] = [np.zeros(spec.shape[-1]) for spec in specs]
    for values in run_inside(content, [taken], [positions[name] for name in known]):
        for position, (spec, array) in enumerate(zip(specs, values, strict=True)):
            real = array.astype(np.float64)
            if spec.scale is not None:
                real = (real - (spec.zero_point or 0)) * spec.scale
            sums[position] = sums[position] + real.reshape(-1, real.shape[-1]).mean(axis=0)
    return {name: total / len(batch) for name, total in zip(known, sums, strict=True)}
