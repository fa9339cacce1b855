"""Calibration: the range of every activation, measured on real samples of a float .tflite.

`minmax` takes the lowest and the highest number. `percentile` cuts off a share of the numbers at
each end. `mse` cuts each end where the mean squared error of rounding and clipping is smallest.
Both use a histogram. A cut helps only where few numbers lie far out: such outliers make the steps
of all other numbers larger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import Samples
from converters.data.fields import are_rows_equal, select_field
from converters.progress import Progress, Report
from converters.quantize.variable_ranges import join_variable_ranges, keeps_variables
from converters.tflite.quantization import quantize_inputs
from converters.tflite.run import run_inside
from converters.tflite.unpacked import UnpackedModel

Doubles = npt.NDArray[np.float64]
#: Position of a tensor to its lowest and highest number.
Ranges = Mapping[int, tuple[float, float]]

MINMAX = "minmax"
PERCENTILE = "percentile"
MSE = "mse"

_BINS = 2048
_BATCH = 32
#: Number of steps of 8 bits.
_STEPS = 255
#: Shares of a range that `mse` tries for each end.
_SHARES = np.concatenate([np.geomspace(0.005, 0.1, 12), np.linspace(0.125, 1, 36)])
_REPORT_EVERY = 50


def measure_ranges(
    content: bytes, samples: Samples, method: str, percentile: float, report: Report
) -> dict[int, tuple[float, float]]:
    """Measure the range of every activation of a model.

    Args:
        content: Float .tflite of batch one.
        samples: Real samples.
        method: `MINMAX`, `PERCENTILE` or `MSE`.
        percentile: Percentage of the numbers below the upper end of the range, and of those above
            its lower end, 50-100; only for `PERCENTILE`.
        report: Function that receives the progress every 50 samples.

    Returns:
        Position of each activation's tensor to its lowest and highest number.

    Raises:
        ConversionError: The runtime cannot run the model.
    """
    tensors = UnpackedModel(content).activations()
    ends = np.array([(np.inf, -np.inf)] * len(tensors))
    for values in _values(content, samples, tensors, report):
        lows, highs = [v.min() for v in values], [v.max() for v in values]
        ends = np.stack([np.minimum(ends[:, 0], lows), np.maximum(ends[:, 1], highs)], axis=1)
    if method != MINMAX:
        counts = np.zeros((len(tensors), _BINS))
        for values in _values(content, samples, tensors, report):
            for row, (values_now, (low, high)) in enumerate(zip(values, ends, strict=True)):
                if high > low:
                    counts[row] += np.histogram(values_now, _BINS, (low, high))[0]
        ends = np.array(
            [
                _cut(of_tensor, (bounds_now[0], bounds_now[1]), method, percentile)
                for of_tensor, bounds_now in zip(counts, ends, strict=True)
            ]
        ).reshape(-1, 2)
    bounds = [(float(low), float(high)) for low, high in ends]
    return join_variable_ranges(content, dict(zip(tensors, bounds, strict=True)))


def _values(
    content: bytes, samples: Samples, tensors: list[int], report: Report
) -> Iterator[list[npt.NDArray[Any]]]:
    model = UnpackedModel(content)
    specs = [model.spec(position) for position in model.inputs]
    # A model with variables is to run on a stream, and answers single samples as well.
    for is_stream in (False, True) if keeps_variables(content) else (False,):
        batches = (quantize_inputs(specs, batch) for batch, _ in samples.batches(_BATCH))
        for done, values in enumerate(run_inside(content, batches, tensors, is_stream), start=1):
            yield values
            if done % _REPORT_EVERY == 0:
                report(Progress("calibrate", done, len(samples)))


def _cut(
    counts: Doubles, extremes: tuple[float, float], method: str, percentile: float
) -> tuple[float, float]:
    low, high = extremes
    if not high > low:
        return low, high
    edges = np.linspace(low, high, _BINS + 1)
    if method == PERCENTILE:
        return percentile_range(counts, edges, percentile)
    return least_error_range(counts, edges)


def percentile_range(counts: Doubles, edges: Doubles, percentile: float) -> tuple[float, float]:
    """Range that leaves out 100 - `percentile` percent of the numbers at each end.

    Args:
        counts: Count of numbers in each bin of a histogram, float64, shape (bins,).
        edges: Edges of the bins, float64, shape (bins + 1,), ascending.
        percentile: Percentage, 50-100.

    Returns:
        Lower and upper end, both edges of bins.
    """
    shares = np.cumsum(counts) / counts.sum()
    out = 1 - percentile / 100
    first = int(np.searchsorted(shares, out, side="right"))
    last = int(np.searchsorted(shares, 1 - out, side="left"))
    return float(edges[first]), float(edges[min(last, len(counts) - 1) + 1])


def least_error_range(counts: Doubles, edges: Doubles) -> tuple[float, float]:
    """Range in which 8 bits cause the smallest mean squared error.

    The root mean square error of a number inside the range is a step / sqrt(12), the error of a
    number outside is its distance from the nearest end (Nagel et al., "A White Paper on Neural
    Network Quantization", 2021, section 3.1). The end that lies farther from 0 moves first, then
    the other.

    Args:
        counts: Count of numbers in each bin of a histogram, float64, shape (bins,).
        edges: Edges of the bins, float64, shape (bins + 1,), ascending.

    Returns:
        Lower end, at most 0, and upper end, at least 0.
    """
    centres = (edges[:-1] + edges[1:]) / 2
    low, high = min(edges[0], 0.0), max(edges[-1], 0.0)

    def error(at_low: float, at_high: float) -> float:
        outside = centres - np.clip(centres, at_low, at_high)
        step = (at_high - at_low) / _STEPS
        inside = np.where(outside == 0, step**2 / 12, outside**2)
        return float((counts * inside).sum())

    for upper in (True, False) if high >= -low else (False, True):
        if upper:
            high = min(_SHARES * high, key=lambda end: error(low, end))
        else:
            low = min(_SHARES * low, key=lambda end: error(end, high))
    return float(low), float(high)


def calibration_warnings(
    samples: Samples, count: int, classes: int | Mapping[str, int]
) -> tuple[str, ...]:
    """List the faults of samples on which ranges are measured; one sentence each.

    Args:
        samples: Calibration samples.
        count: Number of samples that the recipe requests.
        classes: Number of classes of the model; for several outputs name to number.
    """
    warnings = []
    if len(samples) < count:
        warnings.append(
            f"only {len(samples)} of {count} calibration samples are there; "
            "ranges measured on few samples may cut off what the model meets later"
        )
    for name, of_output in samples.by_output().items():
        labels = set(of_output.labels.tolist())
        class_count = select_field(classes, name) if of_output.task.is_classification else 0
        missing = [str(number) for number in range(class_count) if number not in labels]
        if missing:
            text = ", ".join(missing[:10]) + (" …" if len(missing) > 10 else "")
            whose = f" of the output {name!r}" if name else ""
            warnings.append(
                f"{len(missing)} of {class_count} classes{whose} are missing among the calibration "
                f"samples ({text}): ranges may cut off what they make of the model; add samples "
                "of them"
            )
    if len(samples) > 1 and are_rows_equal(samples.stored):
        warnings.append(
            "all calibration samples are the same: the ranges hold for this one only; look at the "
            "data"
        )
    return tuple(warnings)
