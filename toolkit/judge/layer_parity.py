"""Whether a board computes each layer as the host does, and which layer it computes wrongly. Pure.

Outputs of the host and of a board differ a little where their kernels differ; a difference grows
from layer to layer. A layer is computed wrongly where its own difference is large though those of
the layers that it reads are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.layer_error import ErrorSums
from converters.layer_output import LayerOutput
from converters.tensor_spec import TensorSpec, dequantize

#: Ratio of the host's values to their differences below which a layer is suspected. Values of int8
#: that are off by one step now and then have 40 dB.
SUSPECT_DB = 30.0
#: Loss against the layers that are read, above which the layer itself is wrong: one bit.
_OWN_LOSS_DB = 6.0

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class LayerDifference:
    """Difference of the values of one layer between a board and the host."""

    output: LayerOutput
    """Output of the layer."""
    sqnr_db: float
    """Ratio of the host's values to their differences, in decibels."""
    source_sqnr_db: float | None
    """Lowest ratio of the layers that it reads, in decibels; None where it reads none."""
    largest: float
    """Largest difference, in steps of an integer type, or in the real unit of floats."""
    beyond_one: float | None
    """Share of values that differ by more than one step, 0-1; None for floats."""

    @property
    def is_wrong(self) -> bool:
        """Whether the board computes this layer wrongly."""
        source = self.source_sqnr_db
        is_own = source is None or source - self.sqnr_db >= _OWN_LOSS_DB
        return self.sqnr_db < SUSPECT_DB and is_own


class DifferenceSums:
    """Sums over batches of values of a board and of the host."""

    def __init__(self, spec: TensorSpec) -> None:
        """Begin without values.

        Args:
            spec: Type and scale of the output.
        """
        self._spec = spec
        self._errors = ErrorSums(spec)
        self._largest, self._beyond, self._count = 0.0, 0, 0

    @property
    def sqnr_db(self) -> float:
        """Ratio of the values so far, in decibels."""
        return self._errors.sqnr_db

    def add(self, board: Array, host: Array) -> None:
        """Add a batch.

        Args:
            board: Values of the board, in the type of the output, any shape.
            host: Values of the host, in the type and the shape of `board`.
        """
        is_odd = ~np.isfinite(host) & ((board == host) | (np.isnan(board) & np.isnan(host)))
        if is_odd.any():  # such as the infinities of a mask: equal on both sides
            board, host = (
                np.where(is_odd, values.dtype.type(0), values) for values in (board, host)
            )
        self._errors.add(board, dequantize(host, self._spec))
        steps = np.abs(board.astype(np.float64) - host.astype(np.float64))
        largest = float(steps.max(initial=0.0))
        self._largest = max(self._largest, largest if np.isfinite(largest) else float("1e308"))
        self._beyond += int((steps > 1).sum())
        self._count += steps.size

    def difference(self, output: LayerOutput, source_sqnr_db: float | None) -> LayerDifference:
        """Return the difference of a layer.

        Args:
            output: Output of the layer.
            source_sqnr_db: Lowest ratio of the layers that it reads, in decibels, or None.
        """
        share = self._beyond / max(1, self._count)
        return LayerDifference(
            output,
            self.sqnr_db,
            source_sqnr_db,
            self._largest,
            None if output.spec.dtype.startswith("float") else share,
        )


def first_wrong(differences: Sequence[LayerDifference]) -> LayerDifference | None:
    """Return the first layer that a board computes wrongly; None where it computes all as the host.

    Args:
        differences: Layers in the order of their work.
    """
    return next((each for each in differences if each.is_wrong), None)
