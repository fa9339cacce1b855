"""Finds functions that a source took apart, by what the small ops compute. NumPy only.

Converters write GELU, swish or layer normalization as chains of additions, multiplications and
roots, each in an order of its own. So the chain is not compared with known spellings. It is
computed for some numbers, and the results are compared with those of the known functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.graph.node import (
    ACTIVATION,
    AFFINE,
    DENSE,
    INPUT,
    Graph,
    Node,
    Weights,
    with_weights,
)

Floats = npt.NDArray[np.float64]

#: Most nodes of a chain, and largest difference that is none, as a share of the largest number.
_LONGEST, _EQUAL = 40, 1e-5
#: Rows of numbers on which a chain is computed, and numbers in all: wide ones have fewer rows.
_MOST_ROWS, _LEAST_ROWS, _NUMBERS = 64, 16, 4096
#: Most channels of a chain that is looked at.
_WIDEST = 1 << 14

_erf_of_each = np.vectorize(math.erf, otypes=[np.float64])


def erf(x: Floats) -> Floats:
    """The error function of numbers of any shape, float64."""
    answer: Floats = _erf_of_each(x)
    return answer


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)) of numbers of any shape, float64."""
    return 1 / (1 + np.exp(-x))


_NUMBER_OPS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
}
#: Activation to its values for float64 numbers. A chain of others is not looked at.
_FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "exponential": np.exp,
    "erf": erf,
    "square": np.square,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "abs": np.abs,
    "sign": np.sign,
    "log": np.log,
    "softplus": lambda x: np.logaddexp(x, 0),
}
#: Name and attributes of each function that a chain of one input may be.
_KNOWN: tuple[tuple[str, dict[str, Any], Callable[[Floats], Floats]], ...] = (
    ("gelu", {"approximate": False}, lambda x: x * 0.5 * (1 + erf(x / np.sqrt(2)))),
    (
        "gelu",
        {"approximate": True},
        lambda x: x * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    ),
    ("swish", {}, lambda x: x * sigmoid(x)),
    ("hard_swish", {}, lambda x: x * np.clip(x + 3, 0, 6) / 6),
    ("softplus", {}, lambda x: np.logaddexp(x, 0)),
    ("softsign", {}, lambda x: x / (1 + np.abs(x))),
    ("sigmoid", {}, sigmoid),
    ("tanh", {}, np.tanh),
    ("elu", {"alpha": 1.0}, lambda x: np.where(x > 0, x, np.expm1(x))),
)


@dataclass(frozen=True)
class _Chain:
    """Nodes between one node and another that depends on nothing else."""

    source: Node
    """Node that the chain takes its numbers from."""
    nodes: tuple[Node, ...]
    """Nodes of the chain, in the order in which they are computed; the last gives its output."""
    weights: Mapping[str, Weights]
    """Weights of the graph."""

    def values(self, x: Floats) -> Floats | None:
        """Compute the chain.

        Args:
            x: Numbers of the source, float64, shape (n, channels).

        Returns:
            float64, shape (n, channels); None where they have another shape or are not finite.
        """
        values: dict[str, Floats] = {self.source.name: x}
        with np.errstate(all="ignore"):
            for node in self.nodes:
                arguments = [values[name] for name in node.inputs]
                values[node.name] = _compute(node, self.weights, arguments)
        answer = values[self.nodes[-1].name]
        return answer if answer.shape == x.shape and np.isfinite(answer).all() else None

    def offsets(self) -> Iterator[float]:
        """Small numbers that the chain adds: one of them may be an epsilon."""
        yield 0.0
        for node in self.nodes:
            if node.op == AFFINE:
                offset = self.weights[node.weights]["offset"]
                if 0 < offset[0] < 0.1 and not np.ptp(offset):
                    yield float(str(offset[0]))  # the number that was written


def recognize_functions(graph: Graph) -> Graph:
    """Replace chains of simple ops by the function that they compute.

    Args:
        graph: Graph as it was read, before it is folded. Its activations may have the functions
            "erf" and "sign", which no kernel computes; they remain where nothing was recognized.

    Returns:
        Graph with `gelu`, `swish` and other activations, `layer_norm` and `unit_norm` in the place
        of the chains that give their answers.
    """
    nodes = graph.by_name()
    order = {name: place for place, name in enumerate(nodes)}
    replaced: set[str] = set()
    for node in reversed(graph.nodes):
        if node.name in replaced or not _is_simple(node, graph.weights):
            continue
        for chain in reversed(list(_chains(graph, node, order))):
            function = _recognize(chain)
            if function is not None:
                graph = _with_function(graph, chain, function)
                replaced |= {inner.name for inner in chain.nodes}
                break
    return _without_unused(graph)


def _is_simple(node: Node, weights: Mapping[str, Weights]) -> bool:
    if node.shape[-1:] > (_WIDEST,):
        return False
    if node.op == ACTIVATION:
        return node.attributes["function"] in _FUNCTIONS
    if node.op == "mean":
        return bool(node.attributes["keepdims"]) and node.attributes["axes"] == (len(node.shape),)
    if node.op == "add_constant":
        shape = node.attributes["shape"]
        return not node.attributes.get("masks") and np.prod(shape) == (shape or (1,))[-1]
    if node.op == DENSE:
        return len(weights[node.weights]["kernel"]) == 1
    return node.op in (AFFINE, *_NUMBER_OPS)


def _compute(node: Node, weights: Mapping[str, Weights], arguments: list[Floats]) -> Floats:
    if node.op == ACTIVATION:
        return _FUNCTIONS[node.attributes["function"]](arguments[0])
    if node.op == "mean":
        mean: Floats = arguments[0].mean(axis=-1, keepdims=True)
        return mean
    if node.op == "add_constant":
        return arguments[0] + np.asarray(node.attributes["values"], np.float64)
    if node.op == DENSE:
        wide: Floats = arguments[0] @ weights[node.weights]["kernel"].astype(np.float64)
        return wide + weights[node.weights]["bias"]
    if node.op == AFFINE:
        own = weights[node.weights]
        return arguments[0] * own["scale"].astype(np.float64) + own["offset"]
    answer: Floats = _NUMBER_OPS[node.op](*arguments)
    return answer


def _chains(graph: Graph, last: Node, order: Mapping[str, int]) -> Iterator[_Chain]:
    """Every chain of two nodes or more that ends with a node, the shortest one first."""
    nodes, inside = graph.by_name(), list[Node]()
    pending = {last.name}
    while pending and len(inside) < _LONGEST:
        node = nodes[max(pending, key=order.__getitem__)]
        pending.remove(node.name)
        if len(inside) > 1 and not pending and node.shape == last.shape:
            yield _Chain(node, tuple(reversed(inside)), graph.weights)
        if not _is_simple(node, graph.weights):
            return
        inside.append(node)
        pending |= set(node.inputs)


def _recognize(chain: _Chain) -> tuple[Node, dict[str, Floats]] | None:
    """The node that gives the answers of a chain, and its weights; None where none is known."""
    last, channels = chain.nodes[-1], chain.source.shape[-1]
    random = np.random.default_rng(0)
    rows = min(_MOST_ROWS, max(_LEAST_ROWS, _NUMBERS // channels))
    scale = np.geomspace(0.3, 3, rows)[:, None]
    x = random.normal(0, scale, (rows, channels)) + random.normal(0, 1, (rows, 1))
    answer = chain.values(x)
    if answer is None:
        return None
    for function, attributes, compute in _KNOWN:
        if _is_equal(answer, compute(x)):
            plain = {"function": function, **attributes}
            return _as_node(chain, ACTIVATION, plain), {}
    if channels > 1 and any(node.op == "mean" for node in chain.nodes):
        for epsilon in chain.offsets():
            norm = _layer_norm_weights(x, answer, epsilon)
            if norm is not None:
                return _as_node(chain, "layer_norm", {"epsilon": epsilon}), norm
        unit = x / np.sqrt(np.square(x).sum(axis=-1, keepdims=True))
        if _is_equal(answer, unit):
            return _as_node(chain, "unit_norm", {}), {}
    return None if last.op == AFFINE else _slope_of(chain, x, answer)


def _slope_of(chain: _Chain, x: Floats, answer: Floats) -> tuple[Node, dict[str, Floats]] | None:
    """A leaky ReLU of the slope that the chain has below 0; None where it is none."""
    slope = float(np.median((answer / x)[x < 0])) if (x < 0).any() else 0.0
    if 0 < slope < 1 and _is_equal(answer, np.where(x > 0, x, slope * x)):
        plain = {"function": "leaky_relu", "slope": float(np.float32(slope))}
        return _as_node(chain, ACTIVATION, plain), {}
    return None


def _layer_norm_weights(x: Floats, answer: Floats, epsilon: float) -> dict[str, Floats] | None:
    centred = x - x.mean(axis=-1, keepdims=True)
    norm = centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + epsilon)
    spread = norm - norm.mean(axis=0)  # a straight line through the rows of each channel
    gamma = (spread * answer).sum(axis=0) / np.square(spread).sum(axis=0)
    beta = answer.mean(axis=0) - gamma * norm.mean(axis=0)
    return {"gamma": gamma, "beta": beta} if _is_equal(answer, norm * gamma + beta) else None


def _is_equal(first: Floats, second: Floats) -> bool:
    return bool(np.abs(first - second).max() <= _EQUAL * max(1e-3, np.abs(second).max()))


def _as_node(chain: _Chain, op: str, attributes: Mapping[str, Any]) -> Node:
    """A node in the place of a chain; it keeps the name of the last one."""
    last = chain.nodes[-1]
    return Node(last.name, op, (chain.source.name,), last.shape, attributes)


def _with_function(
    graph: Graph, chain: _Chain, function: tuple[Node, Mapping[str, Floats]]
) -> Graph:
    node, arrays = function
    weights = dict(graph.weights)
    if arrays:
        key = f"{node.name}_norm"
        while key in weights or key in graph.by_name():
            key += "_x"
        node = replace(node, weights=key)
        weights[key] = {name: array.astype(np.float32) for name, array in arrays.items()}
    nodes = tuple(node if old.name == chain.nodes[-1].name else old for old in graph.nodes)
    return replace(graph, nodes=nodes, weights=weights)


def _without_unused(graph: Graph) -> Graph:
    """The graph without nodes that no output depends on; inputs stay."""
    needed = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed |= set(node.inputs)
    nodes = tuple(node for node in graph.nodes if node.name in needed or node.op == INPUT)
    return with_weights(replace(graph, nodes=nodes), graph.weights)
