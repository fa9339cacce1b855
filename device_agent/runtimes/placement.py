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

#: What the runtimes call the node of a delegate that has no name of its own, as XNNPACK's.
_NAMELESS = "DELEGATE"


def place(nodes: Sequence[Node], opened: int, delegate: str) -> Dict[str, Dict[str, int]]:
    """Count the operators of each executor.

    Args:
        nodes: Of a prepared interpreter.
        opened: How many of them there were before it was prepared: delegates that were asked for
            are applied before, those that the runtime applies by itself (XNNPACK) then.
        delegate: The name of the one that was asked for; empty without one.
    """
    writers: Dict[int, int] = {}
    executors: Dict[int, str] = {}
    for index, (name, inputs, outputs) in enumerate(nodes):
        if any(tensor in writers for tensor in outputs):
            executor = _name_of(name, delegate if index < opened else "")
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
    found: Set[int] = set()
    ends, waiting = set(inputs), list(outputs)
    while waiting:
        tensor = waiting.pop()
        writer = writers.get(tensor)
        if writer is not None and tensor not in ends and writer not in found:
            found.add(writer)
            waiting.extend(nodes[writer][1])
    return found
