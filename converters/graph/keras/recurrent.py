"""Readers of layers that go over a sequence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from converters.graph.builder import GraphBuilder, Ref, SourceLayer
from converters.graph.keras.calls import Add, Call, hand_over_calls, is_model
from converters.graph.node import CONCAT, GRU, LSTM, RECURRENT, RNN
from converters.graph.recurrent import Recurrence

#: Class of a layer, or of the cell of an RNN, to the op.
_OPS = {
    **{"LSTM": LSTM, "GRU": GRU, "SimpleRNN": RNN},
    **{"LSTMCell": LSTM, "GRUCell": GRU, "SimpleRNNCell": RNN},
}
#: Layers that work on the last axis alone, so that an axis of steps before it changes nothing.
_ON_LAST_AXIS = ("Dense", "Activation", "Dropout", "ReLU", "LeakyReLU", "Rescaling")
_RESHAPES = ("Flatten", "Reshape")
#: Most steps of a TimeDistributed layer; each becomes nodes of its own.
_MOST_STEPS = 64
_MERGES = {"sum": "add", "mul": "multiply", "ave": "add"}


def read_recurrent(builder: GraphBuilder, call: Call) -> Ref:
    """Read LSTM, GRU, SimpleRNN, or an RNN of one of their cells.

    Raises:
        ConversionError: The graph cannot represent the layer; the message names it and says why.
    """
    states = _read(builder, call, call.source_layer, call.layer)
    if not (call.layer.go_backwards and call.layer.return_sequences):
        return states
    # Keras leaves the states in the order in which they were computed.
    turned = {"slices": ((None, None, None), (None, None, -1))}
    return builder.add(f"{call.name}_turned", "slice", (states,), states.shape, turned)


def read_bidirectional(builder: GraphBuilder, call: Call) -> Ref:
    """Read Bidirectional as two recurrent layers.

    Raises:
        ConversionError: The graph cannot represent the layer; the message names it and says why.
    """
    layer = call.layer
    mode = layer.merge_mode
    if mode != "concat" and mode not in _MERGES:
        raise builder.refusal(call.source_layer, "of two outputs")
    both = []
    for part, inner in (("forward", layer.forward_layer), ("backward", layer.backward_layer)):
        name = f"{call.name}_{part}"
        both.append(_read(builder, call, SourceLayer(name, call.kind, inner), inner))
    forward, backward = both
    if mode == "concat":
        shape = (*forward.shape[:-1], forward.shape[-1] + backward.shape[-1])
        return builder.add(
            call.name, CONCAT, (forward, backward), shape, {"axis": len(forward.shape)}
        )
    answer = builder.add(call.name, _MERGES[mode], (forward, backward), forward.shape)
    if mode != "ave":
        return answer
    half = SourceLayer(f"{call.name}_half", call.kind, layer)
    return builder.affine(half, answer, 0.5, 0.0)


def _read(builder: GraphBuilder, call: Call, layer: SourceLayer, recurrent: Any) -> Ref:
    cell: Any = getattr(recurrent, "cell", None)
    op = _OPS.get(type(cell).__name__)
    why = _obstacle(call, recurrent)
    if op is None or why:
        raise builder.refusal(call.source_layer, why or f"of {type(cell).__name__}")
    functions = {"cell_function": _function(cell.activation)}
    if op != RNN:
        functions["gate_function"] = _function(cell.recurrent_activation)
    recurrence = Recurrence(
        bool(recurrent.return_sequences), bool(recurrent.go_backwards), **functions
    )
    arrays = _arrays(cell, op)
    (source,) = call.sources
    if op == GRU:
        return builder.gru(layer, source, arrays, recurrence, reset_after=bool(cell.reset_after))
    return (builder.lstm if op == LSTM else builder.rnn)(layer, source, arrays, recurrence)


def _obstacle(call: Call, recurrent: Any) -> str:
    """Reason why a layer cannot be a node; "" if it can."""
    if getattr(recurrent, "stateful", False):
        return "that keeps its state between samples"
    if getattr(recurrent, "return_state", False):
        return "that gives its state as an output of its own"
    if getattr(recurrent, "time_major", False):
        return "with its steps first"
    if len(call.sources) != 1:
        return "with a state to begin with, or constants"
    return "of other axes than (steps, channels)" if len(call.sources[0].shape) != 2 else ""


def _function(activation: Any) -> str:
    name = str(getattr(activation, "__name__", activation))
    if name != "hard_sigmoid":
        return name
    is_keras_3 = str(getattr(activation, "__module__", "")).startswith("keras.")
    return name if is_keras_3 else "hard_sigmoid_5"


def _arrays(cell: Any, op: str) -> dict[str, Any]:
    kernel, recurrent = np.asarray(cell.kernel), np.asarray(cell.recurrent_kernel)
    bias = getattr(cell, "bias", None)
    if bias is None:
        gates = RECURRENT[op] * len(recurrent)
        bias = np.zeros((2, gates) if op == GRU and cell.reset_after else gates)
    return {"kernel": kernel, "recurrent": recurrent, "bias": np.asarray(bias)}


def read_each_step(builder: GraphBuilder, call: Call, add: Add) -> Ref:
    """Read TimeDistributed: the layer or model inside is used once for each step.

    Args:
        builder: The graph so far.
        call: Call of the TimeDistributed layer.
        add: Function that adds a call of the layer inside.

    Raises:
        ConversionError: The graph cannot represent the layer; the message names it and says why.
    """
    inner, (source,) = call.layer.layer, call.sources
    kind = type(inner).__name__
    if kind in _RESHAPES:
        return builder.add(call.name, "reshape", (source,), call.shape)
    whole = Call(call.name, kind, inner, False, (source,), {}, call.shape)
    if kind in _ON_LAST_AXIS:
        return add(whole)
    steps, *of_step = source.shape
    if steps > _MOST_STEPS:
        raise builder.refusal(call.source_layer, f"of {kind}, over more than {_MOST_STEPS} steps")
    read = _inner_model(inner, add) if is_model(inner) else add
    outputs = []
    for number in range(steps):
        rows = {"slices": ((None, None, None), (number, number + 1, None))}
        row = builder.add(f"{call.name}_step", "slice", (source,), (1, *of_step), rows)
        alone = builder.add(f"{call.name}_alone", "reshape", (row,), tuple(of_step))
        answer = read(replace(whole, name=inner.name, args=(alone,), shape=call.shape[1:]))
        outputs.append(builder.add(f"{call.name}_row", "reshape", (answer,), (1, *answer.shape)))
    if steps == 1:
        return outputs[0]
    return builder.add(call.name, CONCAT, tuple(outputs), call.shape, {"axis": 1})


def _inner_model(model: Any, add: Add) -> Callable[[Call], Ref]:
    return lambda call: hand_over_calls(model, list(call.sources), add)[0]
