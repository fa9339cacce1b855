"""Latency of any choice, foretold from files in which one group alone became narrower. NumPy only.

A convolution whose input is narrowed by one group and whose output by another saves less than the
sum of both: its time is taken as a product of what each group leaves of it. How the time of the
whole model is divided among its layers is taken from their MACs; where that is wrong, the joint
choices that are measured afterwards correct it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.prune_channels.ladder import Doubles, Levels, Sizes

#: What a group leaves of its layers at least; less is an error of measurement.
_LEAST = 0.05


class LatencyModel:
    """Latency as a share of that of the whole model."""

    def __init__(self, sizes: Sizes, alone: Sequence[Doubles]) -> None:
        """Take in what was measured.

        Args:
            sizes: Of the model.
            alone: Of each group the latency at each of its levels, all others being whole, as a
                share of that of the whole model.
        """
        shares = sizes.macs_by_node / max(1.0, float(sizes.macs_by_node.sum()))
        self._time = shares
        #: How much of the channels at either end of a node a group has: (nodes, groups).
        self._held = sizes.held()
        of_group = shares @ self._held
        self._left = [
            np.maximum(1 - (1 - ratios) / max(float(total), 1e-9), _LEAST)
            for ratios, total in zip(alone, of_group, strict=True)
        ]

    def ratios(self, levels: Levels) -> Doubles:
        """Latency of each choice, as a share of that of the whole model: (choices,)."""
        left: Doubles = np.ones((len(levels), len(self._time)))
        for group, table in enumerate(self._left):
            gone: Doubles = 1 - table[levels[:, group]]
            left = left * (1 - gone[:, None] * self._held[:, group])
        found: Doubles = 1.0 - (1.0 - left) @ self._time
        return found
