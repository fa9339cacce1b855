"""Recurrent nodes as plain ops, one step after another, as an int8 file computes them. NumPy only.

Every op that comes out has rules for rounding, so that a recurrent layer trains with the rounding
of the file. All steps share the weights.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.graph.fold import fold_graph
from converters.graph.node import (
    ACTIVATION,
    ADD,
    AFFINE,
    CONCAT,
    DENSE,
    GRU,
    LSTM,
    RECURRENT,
    Graph,
    Node,
    Weights,
    replace_node,
    with_weights,
)

_ALL = (None, None, None)
#: Scales and offsets before and behind a ReLU6 that together are a hard sigmoid.
_HARD_SIGMOIDS = {
    "hard_sigmoid": ((1.0, 3.0), (1 / 6, 0.0)),
    "hard_sigmoid_5": ((1.2, 3.0), (1 / 6, 0.0)),
}


#: Most steps of a node that are unrolled: each becomes about 15 layers of the model that trains.
MOST_STEPS = 96


def unroll_graph(graph: Graph, origin: str = "the model") -> Graph:
    """Make a folded graph of the same answers without recurrent nodes.

    Args:
        graph: A folded graph.
        origin: Name of the model in messages.

    Raises:
        ConversionError: A node has more steps than can be unrolled.
    """
    recurrent = [node for node in graph.nodes if node.op in RECURRENT]
    if not recurrent:
        return graph
    for node in recurrent:
        _refuse_long(node, graph, origin)
        steps = _Steps(node, graph)
        nodes = steps.run()
        graph = replace(graph, weights={**graph.weights, **steps.weights})
        graph = replace_node(graph, node.name, nodes)
    return fold_graph(with_weights(graph, graph.weights))


def _refuse_long(node: Node, graph: Graph, origin: str) -> None:
    steps = graph.by_name()[node.inputs[0]].shape[0]
    if steps > MOST_STEPS:
        in_integers = "ptq_w8a8" if node.op == LSTM else "ptq_f16"
        raise ConversionError(
            f"{origin}: layer {node.name!r} ({node.words}) runs {steps} steps: with fake "
            f"quantization kedge trains at most {MOST_STEPS}, each as layers of its own",
            "Use shorter sequences, such as by a Conv1D with strides in front, or a recipe that "
            f"trains without fake quantization: the steps tune and {in_integers}.",
        )


class _Steps:
    """The nodes and weights of a recurrent node that is being unrolled."""

    def __init__(self, node: Node, graph: Graph) -> None:
        self.node = node
        self.weights: dict[str, Weights] = {}
        self._nodes: list[Node] = []
        self._names = {other.name for other in graph.nodes} | set(graph.weights)
        self._arrays = graph.weights[node.weights]
        self._steps = graph.by_name()[node.inputs[0]].shape[0]
        self._units = len(self._arrays["recurrent"])

    def run(self) -> list[Node]:
        """Unroll the node; the last of the nodes has its name and its output."""
        step = {LSTM: self._lstm, GRU: self._gru}.get(self.node.op, self._rnn)
        entering = self._enter()
        order = range(self._steps)
        states: dict[int, Node] = {}
        old: tuple[Node, ...] = ()
        for number in reversed(order) if self.node.attributes["backward"] else order:
            part = self._add("input", "slice", (entering,), entering.shape[-1], _rows(number))
            old = step(part, *old)
            states[number] = old[0]
        if self.node.attributes["sequences"] and self._steps > 1:
            ordered = tuple(states[number].name for number in order)
            last = replace(self.node, op=CONCAT, inputs=ordered, attributes={"axis": 1}, weights="")
        else:
            last = replace(
                self.node, op="reshape", inputs=(old[0].name,), attributes={}, weights=""
            )
        return [*self._nodes, last]

    def _enter(self) -> Node:
        """Products of the inputs of all steps and the kernel, plus the bias."""
        kernel, bias = self._arrays["kernel"], self._arrays["bias"]
        if bias.ndim == 2:  # the part of the candidate stays behind the reset gate
            gates = np.arange(bias.shape[1]) < 2 * self._units
            bias = bias[0] + np.where(gates, bias[1], 0)
        key = self._weights("inputs", kernel=kernel, bias=bias)
        name = self._free(f"{self.node.name}_inputs")
        shape = (self._steps, kernel.shape[-1])
        self._nodes.append(Node(name, DENSE, self.node.inputs, shape, {}, key))
        return self._nodes[-1]

    def _lstm(self, part: Node, state: Node | None = None, cell: Node | None = None) -> Any:
        total = part if state is None else self._sum("gates", part, self._recur(state))
        entry, forget, candidate, output = self._gates(total)
        gate, cell_function = self._function("gate_function"), self._function("cell_function")
        entry, output = gate("entry", entry), gate("output", output)
        new = self._product("new", entry, cell_function("candidate", candidate))
        if cell is not None:
            new = self._sum("cell", new, self._product("kept", gate("forget", forget), cell))
        return self._product("state", output, cell_function("seen", new)), new

    def _gru(self, part: Node, state: Node | None = None) -> Any:
        units, recurrent = self._units, self._arrays["recurrent"]
        after = self.node.attributes["reset_after"]
        gate, cell_function = self._function("gate_function"), self._function("cell_function")
        update_and_reset = self._cut(part, 0, 2 * units)
        candidate = self._cut(part, 2 * units, 3 * units)
        of_state = None
        if state is not None:
            bias = np.zeros(3 * units)
            if after:
                bias[2 * units :] = self._arrays["bias"][1, 2 * units :]
                of_all = self._recur(state, bias)
                of_gates = self._cut(of_all, 0, 2 * units)
                of_state = self._cut(of_all, 2 * units, 3 * units)
            else:
                of_gates = self._dense("gates", state, recurrent[:, : 2 * units])
            update_and_reset = self._sum("gates", update_and_reset, of_gates)
        both = gate("gates", update_and_reset)
        update, reset = self._cut(both, 0, units), self._cut(both, units, 2 * units)
        if after:
            of_state = self._after_reset(reset, of_state)
        elif state is not None:
            of_state = self._dense(
                "candidate", self._product("reset", reset, state), recurrent[:, 2 * units :]
            )
        if of_state is not None:
            candidate = self._sum("candidate", candidate, of_state)
        new = cell_function("candidate", candidate)
        if state is None:  # new + update * (0 - new)
            change = self._affine("change", new, -np.ones(units))
        else:
            change = self._add("change", "subtract", (state, new), units)
        return (self._sum("state", new, self._product("kept", update, change)),)

    def _after_reset(self, reset: Node, of_state: Node | None) -> Node | None:
        """The part of the candidate that the state gives, times the reset gate."""
        if of_state is not None:
            return self._product("reset", reset, of_state)
        bias = self._arrays["bias"][1, 2 * self._units :]
        return self._affine("reset", reset, bias) if bias.any() else None

    def _rnn(self, part: Node, state: Node | None = None) -> Any:
        total = part if state is None else self._sum("sum", part, self._recur(state))
        return (self._function("cell_function")("state", total),)

    def _recur(self, state: Node, bias: Any = None) -> Node:
        return self._dense("recurrent", state, self._arrays["recurrent"], bias)

    def _dense(self, part: str, source: Node, kernel: Any, bias: Any = None) -> Node:
        width = kernel.shape[-1]
        key = self._weights(part, kernel=kernel, bias=np.zeros(width) if bias is None else bias)
        return self._add(part, DENSE, (source,), width, weights=key)

    def _gates(self, total: Node) -> list[Node]:
        units = self._units
        starts = range(0, total.shape[-1], units)
        return [self._cut(total, start, start + units) for start in starts]

    def _cut(self, source: Node, start: int, stop: int) -> Node:
        slices = (_ALL, _ALL, (start, stop, None))
        return self._add("part", "slice", (source,), stop - start, {"slices": slices})

    def _sum(self, part: str, first: Node, second: Node) -> Node:
        return self._add(part, ADD, (first, second), first.shape[-1])

    def _product(self, part: str, first: Node, second: Node) -> Node:
        return self._add(part, "multiply", (first, second), first.shape[-1])

    def _function(self, attribute: str) -> Any:
        """Function that adds an activation of the node to a part."""
        name = self.node.attributes[attribute]

        def add(part: str, source: Node) -> Node:
            width = source.shape[-1]
            if name == "linear":
                return source
            if name not in _HARD_SIGMOIDS:
                return self._add(part, ACTIVATION, (source,), width, {"function": name})
            before, behind = _HARD_SIGMOIDS[name]
            scaled = self._affine(f"{part}_scaled", source, *before)
            limited = self._add(part, ACTIVATION, (scaled,), width, {"function": "relu6"})
            return self._affine(f"{part}_back", limited, *behind)

        return add

    def _affine(self, part: str, source: Node, scale: Any, offset: float = 0.0) -> Node:
        width = source.shape[-1]
        arrays = {"scale": np.broadcast_to(scale, (width,)), "offset": np.full(width, offset)}
        key = self._weights(f"{part}_affine", **arrays)
        return self._add(part, AFFINE, (source,), width, weights=key)

    def _weights(self, part: str, **arrays: Any) -> str:
        """Key of weights that all steps, and all uses of the layer, share."""
        key = f"{self.node.weights}/{part}"
        self.weights[key] = {name: np.array(array, np.float32) for name, array in arrays.items()}
        return key

    def _add(
        self,
        part: str,
        op: str,
        inputs: tuple[Node, ...],
        width: int,
        attributes: dict[str, Any] | None = None,
        weights: str = "",
    ) -> Node:
        name = self._free(f"{self.node.name}_{part}")
        names = tuple(source.name for source in inputs)
        self._nodes.append(Node(name, op, names, (1, width), attributes or {}, weights))
        return self._nodes[-1]

    def _free(self, name: str) -> str:
        free, number = name, 1
        while free in self._names:
            free, number = f"{name}_{number}", number + 1
        self._names.add(free)
        return free


def _rows(step: int) -> dict[str, Any]:
    return {"slices": (_ALL, (step, step + 1, None))}
