"""The places in a graph where an int8 file rounds numbers, and the range of each.

TFLite's int8 kernels round their output, after an activation that is part of the kernel. The output
of some kernels has the range of their input, and the inputs of a concatenation all have one range
(the quantization specification of TFLite). Fake quantization stands in exactly these places.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from converters.errors import ConversionError
from converters.graph.node import (
    ACTIVATION,
    ADD,
    CAST,
    CONCAT,
    CONV,
    CONV_TRANSPOSE,
    DENSE,
    DEPTHWISE,
    EMBEDDING,
    INPUT,
    Graph,
    Node,
)
from converters.graph.whole_numbers import unrounded_nodes

#: Ops whose output has the range of their input.
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
    "mirror_pad",
)
#: Ops whose inputs and output all have one range.
_ONE_RANGE = (CONCAT, "maximum", "minimum", "constant_pad")
#: Ops whose kernels can clip their output, so that a ReLU after them costs nothing.
_WITH_RELU = (CONV, DEPTHWISE, DENSE, ADD, "subtract", "multiply")
_RELUS = ("relu", "relu6")
#: Functions, and ops, whose kernels dictate a range: lowest and highest number. A step is 1/256 or
#: 1/128.
_FIXED = {
    "softmax": (0.0, 255 / 256),
    "sigmoid": (0.0, 255 / 256),
    "tanh": (-1.0, 127 / 128),
    "unit_norm": (-1.0, 127 / 128),
}
_LEARNED_FUNCTIONS = ("relu", "relu6", "leaky_relu", "hard_swish", "gelu", "swish")
_LEARNED_OPS = (
    INPUT,
    CONV,
    CONV_TRANSPOSE,
    DEPTHWISE,
    DENSE,
    EMBEDDING,
    CAST,
    ADD,
    "subtract",
    "multiply",
    "prelu",
    "global_average_pool",
    "mean",
    "matmul",
    "add_constant",
)
#: Ops, and functions, whose input and output are rounded, and which compute in floats in between:
#: no integer kernel is there, or none that is exact enough.
_FLOAT_OPS = ("layer_norm", "group_norm")
_FLOAT_FUNCTIONS = (
    *("elu", "selu", "softplus", "softsign", "exponential", "relu_of", "log_softmax"),
    *("square", "sqrt", "rsqrt", "reciprocal", "abs", "log"),
)


@dataclass(frozen=True)
class Rounding:
    """The nodes whose output is rounded, and their ranges."""

    ranges: Mapping[str, str]
    """Name of each node whose output is rounded to the name of the node that owns its range: the
    node itself, or the concatenation that it goes into."""
    fixed: Mapping[str, tuple[float, float]]
    """Name of each node whose kernel dictates the range to lowest and highest number."""

    @property
    def learned_nodes(self) -> tuple[str, ...]:
        """Names of the nodes whose range is learned in training."""
        return tuple(dict.fromkeys(n for n in self.ranges.values() if n not in self.fixed))

    @property
    def rounded_twice(self) -> tuple[str, ...]:
        """Names of the nodes whose kernel dictates a range and whose output then gets another."""
        return tuple(name for name in self.fixed if self.ranges.get(name, name) != name)


def decide_rounding(graph: Graph, origin: str) -> Rounding:
    """Decide which nodes are rounded, and with which range.

    Raises:
        ConversionError: It is not known how an op is rounded; the message names the layer.
    """
    owner: dict[str, str] = {}
    fixed: dict[str, tuple[float, float]] = {}
    unrounded, consumers = unrounded_nodes(graph), graph.consumers()
    for node in graph.nodes:
        if node.name in unrounded:
            continue
        _refuse_without_rule(node, origin)
        kernel = str(node.attributes.get("function", node.op))
        if kernel in _FIXED:
            fixed[node.name] = _FIXED[kernel]
        if node.op not in _SAME_RANGE and not _is_clipped_next(graph, node, consumers[node.name]):
            owner[node.name] = node.name
    return Rounding(_share_ranges(graph, owner, unrounded), fixed)


def float_nodes(graph: Graph) -> tuple[Node, ...]:
    """Nodes that compute in floats in a quantized file, between a conversion of either kind."""
    return tuple(
        node
        for node in graph.nodes
        if node.op in _FLOAT_OPS or node.attributes.get("function") in _FLOAT_FUNCTIONS
    )


def _refuse_without_rule(node: Node, origin: str) -> None:
    function = str(node.attributes.get("function", ""))
    functions = (*_FIXED, *_LEARNED_FUNCTIONS, *_FLOAT_FUNCTIONS)
    has_rule = node.op in (*_SAME_RANGE, *_ONE_RANGE, *_LEARNED_OPS, *_FLOAT_OPS, *_FIXED)
    if has_rule or node.op == ACTIVATION and function in functions:
        return
    raise ConversionError(
        f"{origin}: layer {node.name!r} ({node.words}) is one whose rounding kedge does "
        "not know, so that it cannot be trained with fake quantization",
        "Use ReLU, or the recipe mixed_w8a8, which rounds such a layer or leaves it in floats.",
    )


def _is_clipped_next(graph: Graph, node: Node, consumers: Sequence[Node]) -> bool:
    """Whether the node's output goes only to a ReLU that becomes part of its kernel."""
    return (
        node.op in _WITH_RELU
        and len(consumers) == 1
        and node.name not in graph.outputs
        and consumers[0].attributes.get("function") in _RELUS
    )


def _share_ranges(
    graph: Graph, owner: dict[str, str], unrounded: Collection[str]
) -> dict[str, str]:
    """Name of each node to the owner of its range: inputs of a concatenation have its range."""
    nodes = graph.by_name()
    places = {name: place for place, name in enumerate(nodes)}

    def rounded_before(name: str) -> str:
        while nodes[name].op in _SAME_RANGE:
            (name,) = nodes[name].inputs
        return name

    def top(name: str) -> str:
        while owner[name] != name:
            name = owner[name]
        return name

    for node in graph.nodes:
        if node.op in _ONE_RANGE and node.name not in unrounded:
            for name in node.inputs:
                # The later node owns the range: it receives the numbers of all the others.
                first, second = sorted(
                    (top(rounded_before(name)), top(node.name)), key=places.__getitem__
                )
                owner[first] = second
    return {name: top(name) for name in owner}
