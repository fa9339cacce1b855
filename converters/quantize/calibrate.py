"""Calibration: the range of every activation, measured on real samples of a float .tflite.

`minmax` takes the lowest and the highest number. `percentile` cuts off so many at each end, and
`mse` cuts off what makes the mean squared error of rounding and clipping least; both look at a
histogram. A cut can only help where few numbers lie far out, as an outlier takes steps from all
others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import Samples
from converters.data.fields import are_rows_equal, select_field
from converters.progress import Progress, Report
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
#: Steps of 8 bits.
_STEPS = 255
#: Shares of a range that `mse` tries for each end.
_SHARES = np.concatenate([np.geomspace(0.005, 0.1, 12), np.linspace(0.125, 1, 36)])
_REPORT_EVERY = 50


def measured(
    content: bytes, samples: Samples, method: str, percentile: float, report: Report
) -> dict[int, tuple[float, float]]:
    """The range of every activation of a model.

    Args:
        content: A float .tflite of batch one.
        samples: Real ones.
        method: `MINMAX`, `PERCENTILE` or `MSE`.
        percentile: For `PERCENTILE`, 50-100: so many percent of the numbers lie below the range's
            upper end, and as many above its lower.
        report: Told now and then.

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
            for row, (found, (low, high)) in enumerate(zip(values, ends, strict=True)):
                if high > low:
                    counts[row] += np.histogram(found, _BINS, (low, high))[0]
        ends = np.array(
            [
                _cut(of_tensor, (seen[0], seen[1]), method, percentile)
                for of_tensor, seen in zip(counts, ends, strict=True)
            ]
        ).reshape(-1, 2)
    bounds = [(float(low), float(high)) for low, high in ends]
    return dict(zip(tensors, bounds, strict=True))


def _values(
    content: bytes, samples: Samples, tensors: list[int], report: Report
) -> Iterator[list[npt.NDArray[Any]]]:
    model = UnpackedModel(content)
    specs = [model.spec(position) for position in model.inputs]
    batches = (quantize_inputs(specs, batch) for batch, _ in samples.batches(_BATCH))
    for done, values in enumerate(run_inside(content, batches, tensors), start=1):
        yield values
        if done % _REPORT_EVERY == 0:
            report(Progress("calibrate", done, len(samples)))


def _cut(
    counts: Doubles, seen: tuple[float, float], method: str, percentile: float
) -> tuple[float, float]:
    low, high = seen
    if not high > low:
        return low, high
    edges = np.linspace(low, high, _BINS + 1)
    if method == PERCENTILE:
        return percentile_range(counts, edges, percentile)
    return least_error_range(counts, edges)


def percentile_range(counts: Doubles, edges: Doubles, percentile: float) -> tuple[float, float]:
    """The range that leaves so few numbers out at each end.

    Args:
        counts: Numbers in each bin of a histogram.
        edges: Of its bins, one more.
        percentile: 50-100.
    """
    shares = np.cumsum(counts) / counts.sum()
    out = 1 - percentile / 100
    first = int(np.searchsorted(shares, out, side="right"))
    last = int(np.searchsorted(shares, 1 - out, side="left"))
    return float(edges[first]), float(edges[min(last, len(counts) - 1) + 1])


def least_error_range(counts: Doubles, edges: Doubles) -> tuple[float, float]:
    """The range in which 8 bits make the least mean squared error.

    A number inside is off by a step / sqrt(12) on average, one outside by its way to the end
    (Nagel et al., "A White Paper on Neural Network Quantization", 2021, section 3.1). First the
    end that lies farther from 0 is moved, then the other.

    Args:
        counts: Numbers in each bin of a histogram.
        edges: Of its bins, one more.
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


def warnings_about(
    samples: Samples, wanted: int, classes: int | Mapping[str, int]
) -> tuple[str, ...]:
    """What makes samples poor ones to measure ranges on; one sentence each.

    Args:
        samples: That were taken.
        wanted: So many the recipe asks for.
        classes: That the model distinguishes; of several outputs by their names.
    """
    warnings = []
    if len(samples) < wanted:
        warnings.append(
            f"only {len(samples)} of {wanted} calibration samples are there; "
            "ranges measured on few samples may cut off what the model meets later"
        )
    for name, of_output in samples.by_output().items():
        there = set(of_output.labels.tolist())
        count = select_field(classes, name) if of_output.task.is_classification else 0
        missing = [str(number) for number in range(count) if number not in there]
        if missing:
            shown = ", ".join(missing[:10]) + (" …" if len(missing) > 10 else "")
            whose = f" of the output {name!r}" if name else ""
            warnings.append(
                f"{len(missing)} of {count} classes{whose} are missing among the calibration "
                f"samples ({shown}): ranges may cut off what they make of the model; add samples "
                "of them"
            )
    if len(samples) > 1 and are_rows_equal(samples.stored):
        warnings.append(
            "all calibration samples are the same: the ranges hold for this one only; look at the "
            "data"
        )
    return tuple(warnings)
