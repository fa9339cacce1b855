"""Errors of the layers of a quantized file against the float file of the same network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.layer_output import LayerOutput
from converters.noise import decibels
from converters.tensor_spec import TensorSpec, dequantize

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class LayerError:
    """Error of one layer."""

    output: LayerOutput
    """Output of the layer in the quantized file."""
    sqnr_db: float
    """Signal to quantization noise ratio of its values, in decibels."""
    source_sqnr_db: float | None
    """Lowest ratio of the layers that it reads, in decibels; None where it reads none that is
    compared."""
    rmse_per_scale: float | None
    """Root mean square of the differences in units of the scale of its output; None for floats.
    TensorFlow's documentation of its quantization debugger: near 1/sqrt(12) = 0.289 where only the
    rounding to this scale makes the error; the larger, the worse is the layer quantized."""
    saturation: float | None
    """Share of values at an end of the integer range whose float value lies more than one step
    beyond that end, 0-1; None for floats."""
    share_at_ends: float | None
    """Share of values at either end of the integer range, 0-1, those of a ReLU or a softmax among
    them; None for floats."""

    @property
    def added_db(self) -> float:
        """Decibels that this layer loses beyond the noisiest layer that it reads, at least 0."""
        return 0.0 if self.source_sqnr_db is None else max(0.0, self.source_sqnr_db - self.sqnr_db)


class ErrorSums:
    """Sums over batches of values, from which the error of a layer follows."""

    def __init__(self, spec: TensorSpec) -> None:
        """Begin without values.

        Args:
            spec: Type and scale of the output in the quantized file.
        """
        self._spec = spec
        self._power = self._noise = 0.0
        self._count = self._cut = self._at_ends = 0

    @property
    def sqnr_db(self) -> float:
        """Ratio of the values so far: 10 log10(sum s^2 / sum (s - n)^2), in decibels."""
        return decibels(self._power, self._noise)

    def add(self, values: Array, reference: Array) -> None:
        """Add a batch.

        Args:
            values: Values of the quantized file, in the type of its output, any shape.
            reference: Values of the float file, floats, as many as `values` in the same order.
        """
        exact = reference.astype(np.float64).reshape(-1)
        stored = values.reshape(-1)
        with np.errstate(all="ignore"):
            self._power += float(np.square(exact).sum())
            self._noise += float(np.square(exact - dequantize(stored, self._spec)).sum())
        self._count += exact.size
        if self._spec.scale and np.issubdtype(stored.dtype, np.integer):
            self._count_ends(stored, exact, self._spec.scale, self._spec.zero_point or 0)

    def _count_ends(
        self, stored: Array, exact: npt.NDArray[np.float64], scale: float, zero_point: int
    ) -> None:
        limits = np.iinfo(stored.dtype)
        steps = exact / scale + zero_point
        low, high = stored == limits.min, stored == limits.max
        self._at_ends += int(low.sum()) + int(high.sum())
        self._cut += int((low & (steps < limits.min - 1)).sum())
        self._cut += int((high & (steps > limits.max + 1)).sum())

    def error(self, output: LayerOutput, source_sqnr_db: float | None) -> LayerError:
        """Return the error of a layer.

        Args:
            output: Output of the layer.
            source_sqnr_db: Lowest ratio of the layers that it reads, in decibels, or None.
        """
        scale = self._spec.scale
        count = max(1, self._count)
        return LayerError(
            output,
            self.sqnr_db,
            source_sqnr_db,
            float(np.sqrt(self._noise / count)) / scale if scale else None,
            self._cut / count if scale else None,
            self._at_ends / count if scale else None,
        )
