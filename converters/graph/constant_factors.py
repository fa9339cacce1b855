"""Numbers that every value of a tensor is multiplied by or gets added. NumPy only.

A source that took a normalization apart has its epsilon as such a number. In the graph it is a
depthwise convolution of 1x1, but it was never learned, and below 0 it makes a root NaN.
"""

from __future__ import annotations

import numpy as np

from converters.graph.node import DEPTHWISE, Node, Weights


def is_constant_factor(node: Node, weights: Weights) -> bool:
    """Whether a node computes a * x + b, with the same a and b for all channels.

    Args:
        node: Node of a folded or unfolded graph.
        weights: Weights of the node.
    """
    if node.op != DEPTHWISE or weights["kernel"].shape != (1, 1, node.shape[-1], 1):
        return False
    return not np.ptp(weights["kernel"]) and not np.ptp(weights["bias"])
