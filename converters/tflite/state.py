"""Finds out what a .tflite keeps from one inference to the next."""

from __future__ import annotations

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from device_agent.contract.state import KEEP, RELOAD, RESET

_OP = schema.BuiltinOperator

#: Ops that change something which only a fresh interpreter sets to its beginning: a resource
#: variable, or the position in a sequence of random numbers.
_CHANGES = (_OP.ASSIGN_VARIABLE, _OP.RANDOM_UNIFORM, _OP.RANDOM_STANDARD_NORMAL, _OP.MULTINOMIAL)


def reset_of(model: Any) -> str:
    """Return the way to set the state of a file to its beginning.

    Args:
        model: `schema.Model` whose offsets and operator codes were checked.

    Returns:
        `RELOAD` if an operator changes a resource variable or draws random numbers, except in a
        subgraph that only sets variables at the start; `RESET` if there are variable tensors; else
        `KEEP`.
    """
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    numbers = [max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) for code in codes]
    graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    uses: list[set[int]] = []
    initial: set[int] = set()
    for graph in graphs:
        uses.append(set())
        for i in range(graph.OperatorsLength()):
            operator = graph.Operators(i)
            number = numbers[operator.OpcodeIndex()]
            uses[-1].add(number)
            if number == _OP.CALL_ONCE:
                initial.add(_init_subgraph(operator))
    if any(
        uses_of_graph.intersection(_CHANGES)
        for position, uses_of_graph in enumerate(uses)
        if position not in initial
    ):
        return RELOAD
    has_variables = any(
        graph.Tensors(i).IsVariable() for graph in graphs for i in range(graph.TensorsLength())
    )
    return RESET if has_variables else KEEP


def _init_subgraph(operator: Any) -> int:
    """Position of the subgraph that an op CALL_ONCE runs."""
    table = operator.BuiltinOptions()
    options = schema.CallOnceOptions()
    if table is not None:
        options.Init(table.Bytes, table.Pos)
    return int(options.InitSubgraphIndex()) if table is not None else 0
