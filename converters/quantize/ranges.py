"""Where the rounded numbers of an int8 file get their ranges: decided on the graph alone.

TFLite's int8 kernels round what they put out, after an activation that is part of the kernel; some
put out the very range that they take in, and a concatenation takes in several tensors of one range
(the quantization specification of TFLite). Fake quantization stands in exactly these places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from converters.errors import ConversionError
from converters.graph.node import (
    ACTIVATION,
    ADD,
    CONCAT,
    CONV,
    CONV_TRANSPOSE,
    DENSE,
    DEPTHWISE,
    INPUT,
    Graph,
    Node,
)

#: Put out the range that they take in.
_SAME_RANGE = (
    "max_pool",
    "average_pool",
    "global_max_pool",
    "flatten",
    "reshape",
    "slice",
    "crop",
    "zero_pad",
    "upsample",
    "resize",
    "permute",
)
#: Several inputs and an output of one range.
_ONE_RANGE = (CONCAT, "maximum", "minimum")
#: Their kernels clip what they put out, so that a ReLU behind them costs nothing.
_WITH_RELU = (CONV, DEPTHWISE, DENSE, ADD, "subtract", "multiply")
_RELUS = ("relu", "relu6")
#: Their kernels put out a range of their own: lowest and highest number (1/256 and 1/128 a step).
_FIXED = {
    "softmax": (0.0, 255 / 256),
    "sigmoid": (0.0, 255 / 256),
    "tanh": (-1.0, 127 / 128),
}
_LEARNED_FUNCTIONS = ("relu", "relu6", "leaky_relu", "hard_swish", "gelu", "swish")
_LEARNED_OPS = (
    INPUT,
    CONV,
    CONV_TRANSPOSE,
    DEPTHWISE,
    DENSE,
    ADD,
    "subtract",
    "multiply",
    "prelu",
    "global_average_pool",
)


@dataclass(frozen=True)
class Rounding:
    """What is rounded with which range."""

    ranges: Mapping[str, str]
    """Name of each node whose output is rounded, to the name of the node whose range it is rounded
    with: its own, or the concatenation's that it goes into."""
    fixed: Mapping[str, tuple[float, float]]
    """Name of a node whose range its kernel dictates, to lowest and highest number."""

    @property
    def learned(self) -> tuple[str, ...]:
        """Nodes whose range training has to find."""
        return tuple(dict.fromkeys(n for n in self.ranges.values() if n not in self.fixed))

    @property
    def rounded_twice(self) -> tuple[str, ...]:
        """Nodes whose kernel dictates a range, and whose output then gets another one."""
        return tuple(name for name in self.fixed if self.ranges.get(name, name) != name)


def rounding_of(graph: Graph, origin: str) -> Rounding:
    """Decide what is rounded, and with which range.

    Raises:
        ConversionError: How an op is rounded is not known; the message names the layer.
    """
    owner: dict[str, str] = {}
    fixed: dict[str, tuple[float, float]] = {}
    for node in graph.nodes:
        _refuse_without_kernel(node, origin)
        function = node.attributes.get("function")
        if node.op == ACTIVATION and function in _FIXED:
            fixed[node.name] = _FIXED[str(function)]
        if node.op not in _SAME_RANGE and not _is_clipped_next(graph, node):
            owner[node.name] = node.name
    return Rounding(_joined(graph, owner), fixed)


def _refuse_without_kernel(node: Node, origin: str) -> None:
    function = str(node.attributes.get("function", ""))
    known = node.op in (*_SAME_RANGE, *_ONE_RANGE, *_LEARNED_OPS)
    if known or node.op == ACTIVATION and (function in _FIXED or function in _LEARNED_FUNCTIONS):
        return
    raise ConversionError(
        f"{origin}: layer {node.name!r} ({function or node.op}) is one whose rounding kedge does "
        "not know, so that it cannot be trained with fake quantization",
        "use ReLU, or the recipe mixed_w8a8, which rounds such a layer or leaves it in floats",
    )


def _is_clipped_next(graph: Graph, node: Node) -> bool:
    """Whether a ReLU that its own kernel does is all that comes of it."""
    consumers = graph.consumers()[node.name]
    return (
        node.op in _WITH_RELU
        and len(consumers) == 1
        and node.name not in graph.outputs
        and consumers[0].attributes.get("function") in _RELUS
    )


def _joined(graph: Graph, owner: dict[str, str]) -> dict[str, str]:
    """Who shares whose range: what goes into a concatenation has that of the concatenation."""
    nodes = graph.by_name()

    def rounded_before(name: str) -> str:
        while nodes[name].op in _SAME_RANGE:
            (name,) = nodes[name].inputs
        return name

    def top(name: str) -> str:
        while owner[name] != name:
            name = owner[name]
        return name

    for node in graph.nodes:
        if node.op in _ONE_RANGE:
            for name in node.inputs:
                # The later one: it has seen the numbers of all that go into it.
                first, second = sorted(
                    (top(rounded_before(name)), top(node.name)), key=list(nodes).index
                )
                owner[first] = second
    return {name: top(name) for name in owner}
