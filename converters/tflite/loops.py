"""Finds out how often a WHILE runs its body, where the file alone decides it."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.tflite.subgraph import Subgraph, numbers


def count_trips(outer: Subgraph, loop: Any, condition: Subgraph, body: Subgraph) -> int | None:
    """Count the trips of a loop that counts up to a constant.

    Args:
        outer: Subgraph of the loop.
        loop: Its operator WHILE.
        condition: Subgraph that says whether it goes on.
        body: Subgraph of one trip.

    Returns:
        The trips; None where they depend on values that the file does not store. Of several
        conditions that must all hold, the one that fails first counts, and each must be known.
    """
    operands = numbers(loop.inputs)
    makers = {
        int(op.outputs[0]): (name, op)
        for name, op in condition.operators
        if op.outputs is not None and len(op.outputs)
    }
    counts = []
    pending = list(condition.outputs)
    while pending:
        name, op = makers.get(pending.pop(), ("", None))
        if name == "LOGICAL_AND":
            pending += numbers(op.inputs)
        elif name == "LESS":
            trips = _count(outer, operands, condition, body, numbers(op.inputs))
            if trips is None:
                return None
            counts.append(trips)
        else:
            return None
    return min(counts, default=None)


def _count(
    outer: Subgraph, operands: list[int], condition: Subgraph, body: Subgraph, sides: list[int]
) -> int | None:
    """Count the trips until a counter is no longer less than its end."""
    if sides[0] not in condition.inputs:
        return None
    place = condition.inputs.index(sides[0])
    begin, end = _scalar(outer, operands[place]), _scalar(condition, sides[1])
    if end is None and sides[1] in condition.inputs:
        other = condition.inputs.index(sides[1])
        if body.outputs[other] == body.inputs[other]:
            end = _scalar(outer, operands[other])
    step = _step(body, place)
    if begin is None or end is None or step is None or step <= 0:
        return None
    return max(0, -int((begin - end) // step))


def _step(body: Subgraph, place: int) -> int | None:
    """Number that a trip adds to an operand, if it is constant."""
    for name, op in body.operators:
        if name == "ADD" and int(op.outputs[0]) == body.outputs[place]:
            sides = numbers(op.inputs)
            if body.inputs[place] in sides:
                sides.remove(body.inputs[place])
                return _scalar(body, sides[0])
    return None


def _scalar(graph: Subgraph, tensor: int) -> int | None:
    values = graph.constant(tensor)
    if values is None or values.size != 1 or not np.issubdtype(values.dtype, np.integer):
        return None
    return int(values.reshape(-1)[0])
