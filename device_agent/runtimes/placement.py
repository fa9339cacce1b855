"""Which executor computes which operators, from the nodes of a prepared TFLite model. Pure.

A delegate appends a node of its own to the graph and leaves those that it replaces where they are.
So a tensor that a replaced node writes is written a second time, by the delegate's node: that tells
delegates from operators, and the way back from its outputs to its inputs tells what it replaced.
"""

from __future__ import annotations

from typing import Dict, Sequence, Set, Tuple

from device_agent.contract.placement import BUILTIN, XNNPACK

#: Name, input tensors, output tensors.
Node = Tuple[str, Sequence[int], Sequence[int]]

#: Name that the runtimes give to the node of a delegate without a name, such as XNNPACK's.
_NAMELESS = "DELEGATE"


def place(nodes: Sequence[Node], prior_nodes: int, delegate: str) -> Dict[str, Dict[str, int]]:
    """Count the operators of each executor.

    Args:
        nodes: Nodes of a prepared interpreter.
        prior_nodes: Number of nodes before it was prepared. A requested delegate is applied before
            that, those that the runtime applies by itself (XNNPACK) while it is prepared.
        delegate: Name of the requested delegate; empty without one.
    """
    writers: Dict[int, int] = {}
    executors: Dict[int, str] = {}
    for index, (name, inputs, outputs) in enumerate(nodes):
        if any(tensor in writers for tensor in outputs):
            executor = _name_of(name, delegate if index < prior_nodes else "")
            for replaced in _replaced(nodes, writers, inputs, outputs):
                executors[replaced] = executor
        else:
            executors[index] = BUILTIN
            writers.update({tensor: index for tensor in outputs})
    counts: Dict[str, Dict[str, int]] = {}
    for index, executor in executors.items():
        ops = counts.setdefault(executor, {})
        ops[nodes[index][0]] = ops.get(nodes[index][0], 0) + 1
    return counts


def _name_of(node: str, asked_for: str) -> str:
    if asked_for:
        return asked_for
    return XNNPACK if node == _NAMELESS else node


def _replaced(
    nodes: Sequence[Node], writers: Dict[int, int], inputs: Sequence[int], outputs: Sequence[int]
) -> Set[int]:
    """The operators between a delegate's inputs and its outputs."""
    replaced: Set[int] = set()
    sources, waiting = set(inputs), list(outputs)
    while waiting:
        tensor = waiting.pop()
        writer = writers.get(tensor)
        if writer is not None and tensor not in sources and writer not in replaced:
            replaced.add(writer)
            waiting.extend(nodes[writer][1])
    return replaced
