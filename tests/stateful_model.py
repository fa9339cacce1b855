"""The smallest .tflite files that keep a state from one inference to the next."""

from __future__ import annotations

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tests.model_maker import ModelMaker

_RESOURCE = schema.TensorType.RESOURCE


def sum_model() -> bytes:
    """float32 `x` [1, 1, 1] to `y`: UNIDIRECTIONAL_SEQUENCE_RNN that adds up what is not < 0."""
    model = ModelMaker()
    x, y = model.tensor("x", [1, 1, 1]), model.tensor("y", [1, 1, 1])
    weight, recurrent = (model.tensor(name, [1, 1], 1.0) for name in ("weight", "recurrent"))
    bias, state = model.tensor("bias", [1], 0.0), model.tensor("state", [1, 1])
    model.tensors[state].isVariable = True
    options = schema.SequenceRNNOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    inputs = [x, weight, recurrent, bias, state]
    model.op("UNIDIRECTIONAL_SEQUENCE_RNN", inputs, [y], options, "SequenceRNNOptions")
    return model.pack([([x], [y])])


def counter_model(changes: bool = True) -> bytes:
    """float32 `x` [1] to `y`: `x` plus a resource variable, which begins as 5 and becomes `y`.

    Args:
        changes: Whether the variable becomes `y`; otherwise it stays at 5.
    """
    model = ModelMaker()
    x, handle = model.tensor("x", [1]), model.tensor("variable", [], dtype=_RESOURCE)
    value, y = model.tensor("value", [1]), model.tensor("y", [1])
    once = schema.CallOnceOptionsT()
    once.initSubgraphIndex = 1
    model.op("CALL_ONCE", [], [], once, "CallOnceOptions")
    model.op("VAR_HANDLE", [], [handle], _handle(), "VarHandleOptions")
    model.op("READ_VARIABLE", [handle], [value])
    model.op("ADD", [value, x], [y], schema.AddOptionsT(), "AddOptions")
    if changes:
        model.op("ASSIGN_VARIABLE", [handle, y], [])
    model.next_graph()
    handle = model.tensor("variable", [], dtype=_RESOURCE)
    begin = model.tensor("begin", [1], 5.0)
    model.op("VAR_HANDLE", [], [handle], _handle(), "VarHandleOptions")
    model.op("ASSIGN_VARIABLE", [handle, begin], [])
    return model.pack([([x], [y]), ([], [])])


def _handle() -> Any:
    options = schema.VarHandleOptionsT()
    options.container, options.sharedName = "", "variable"
    return options
