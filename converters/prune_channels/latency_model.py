"""Latency of any choice, predicted from files in which one group alone is narrower. NumPy only.

If one group narrows the input of a convolution and another group its output, the saving is smaller
than the sum of both: its time is the product of the shares that each group leaves. The model's time
is divided among its layers by their MACs. If this is wrong, the joint choices that are measured
afterwards correct it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.prune_channels.ladder import Doubles, Levels, Sizes

#: Smallest share of its layers' time that a group leaves; less is an error of measurement.
_LEAST = 0.05


class LatencyModel:
    """Latency as a share of that of the whole model."""

    def __init__(self, sizes: Sizes, alone: Sequence[Doubles]) -> None:
        """Fit the model to measurements.

        Args:
            sizes: Sizes of the model.
            alone: For each group the latency at each of its levels while all other groups are
                whole, as a share of the whole model's, float64, shape (levels,).
        """
        shares = sizes.macs_by_node / max(1.0, float(sizes.macs_by_node.sum()))
        self._time = shares
        #: Share of the channels at a node's input or output that a group has: (nodes, groups).
        self._group_shares = sizes.group_shares()
        of_group = shares @ self._group_shares
        self._times = [
            np.maximum(1 - (1 - ratios) / max(float(total), 1e-9), _LEAST)
            for ratios, total in zip(alone, of_group, strict=True)
        ]

    def ratios(self, levels: Levels) -> Doubles:
        """Latency of each choice (choices, groups) as a share of the whole model's: (choices,)."""
        remaining: Doubles = np.ones((len(levels), len(self._time)))
        for group, table in enumerate(self._times):
            savings: Doubles = 1 - table[levels[:, group]]
            remaining = remaining * (1 - savings[:, None] * self._group_shares[:, group])
        ratios: Doubles = 1.0 - (1.0 - remaining) @ self._time
        return ratios
