"""Readers of LSTM, GRU and RNN."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.graph.builder import Ref
from converters.graph.node import CONCAT
from converters.graph.onnx.axes import Axis, OnnxValue, new_axis
from converters.graph.onnx.onnx_node import OnnxNode
from converters.graph.onnx.reader import OnnxReader
from converters.graph.recurrent import Recurrence

Array = npt.NDArray[Any]
Reader = Callable[[OnnxReader, OnnxNode], tuple[OnnxValue | None, ...]]

#: Order of the gates of ONNX (input, output, forget, cell; update, reset, candidate) as places of
#: the graph's (input, forget, cell, output; update, reset, candidate).
_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (0, 1, 2), "RNN": (0,)}
_FUNCTIONS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_NAMES = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu", "hardsigmoid": "hard_sigmoid_5"}


def _recurrence(reader: OnnxReader, node: OnnxNode, number: int) -> tuple[str, str]:
    """Activations of the cell and of the gates of one direction."""
    own = node.attributes.get("activations")
    defaults = _FUNCTIONS[node.kind]
    names = [n.decode() if isinstance(n, bytes) else str(n) for n in own or ()] or list(defaults)
    names = names[number * len(defaults) :][: len(defaults)] or list(defaults)
    plain = [_NAMES.get(name.lower(), name) for name in names]
    if len(plain) == 3 and plain[1] != plain[2]:
        raise reader.refusal(node, f"with the activations {', '.join(names)}")
    unlike = node.attributes.get("activation_alpha") or node.attributes.get("activation_beta")
    if unlike or node.attributes.get("clip"):
        raise reader.refusal(node, "with a clip or numbers of its activations")
    return (plain[1], plain[0]) if len(plain) > 1 else (plain[0], plain[0])


def _check(reader: OnnxReader, node: OnnxNode, steps: int) -> None:
    """Refuse what the nodes of the graph do not have."""
    lengths = reader.constant(node, 4)
    if lengths is not None and (lengths != steps).any():
        raise reader.refusal(node, "with sequences of several lengths")
    for place in (5, 6):
        state = reader.constant(node, place)
        if state is not None and state.any():
            raise reader.refusal(node, "whose state does not begin with zeros")
    if node.input(7):
        raise reader.refusal(node, "with peepholes")
    if node.whole("input_forget", 0) or node.whole("layout", 0):
        raise reader.refusal(node, "with input_forget or layout")


def _arrays(node: OnnxNode, kernel: Array, recurrent: Array, bias: Array | None) -> dict[str, Any]:
    """Weights of one direction in the order of the graph."""
    gates, units = _GATES[node.kind], recurrent.shape[-1]
    both = np.zeros(2 * len(gates) * units) if bias is None else bias
    of_inputs, of_state = both.reshape(2, len(gates), units)[:, list(gates)]

    def columns(array: Array) -> Array:
        by_gate = array.reshape(len(gates), units, -1)[list(gates)]
        return by_gate.reshape(len(gates) * units, -1).T

    flat = of_inputs.reshape(-1), of_state.reshape(-1)
    if node.kind == "GRU" and node.whole("linear_before_reset", 0):
        both = np.stack(flat)
    else:
        both = flat[0] + flat[1]
    return {"kernel": columns(kernel), "recurrent": columns(recurrent), "bias": both}


def _add_direction(
    reader: OnnxReader,
    node: OnnxNode,
    source: Ref,
    number: int,
    is_backward: bool,
    sequences: bool,
) -> Ref:
    cell, gate = _recurrence(reader, node, number)
    recurrence = Recurrence(sequences, is_backward, cell, gate)
    kernel, recurrent, bias = (reader.constant(node, place) for place in (1, 2, 3))
    if kernel is None or recurrent is None:
        raise reader.refusal(node, "without weights")
    own = None if bias is None else bias[number]
    arrays = _arrays(node, kernel[number], recurrent[number], own)
    part = ("backward" if is_backward else "forward") + ("" if sequences else "_last")
    layer = reader.layer(node, part, *node.inputs[1:4], number, sequences)
    if node.kind == "LSTM":
        return reader.builder.lstm(layer, source, arrays, recurrence)
    if node.kind == "GRU":
        after = bool(node.whole("linear_before_reset", 0))
        return reader.builder.gru(layer, source, arrays, recurrence, reset_after=after)
    return reader.builder.rnn(layer, source, arrays, recurrence)


def _read(reader: OnnxReader, node: OnnxNode) -> tuple[OnnxValue | None, ...]:
    value = reader.floats(node, 0)
    steps, batch, inputs = value.axes
    if batch:
        raise reader.refusal(node, "that takes several sequences of one sample at a time")
    _check(reader, node, value.shape[0])
    if node.output(2):
        raise reader.refusal(node, "whose last cell state is used")
    source = reader.arrange(value, [steps, inputs], f"{node.name}_in")
    direction = node.text("direction", "forward")
    ways = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[direction]
    answers: list[OnnxValue | None] = []
    for sequences in (True, False):
        if not node.output(0 if sequences else 1):
            answers.append(None)
            continue
        refs = [
            _add_direction(reader, node, source, number, is_backward, sequences)
            for number, is_backward in enumerate(ways)
        ]
        answers.append(_joined(reader, node, refs, steps if sequences else None))
    return tuple(answers)


def _joined(reader: OnnxReader, node: OnnxNode, refs: list[Ref], steps: Axis | None) -> OnnxValue:
    """Directions side by side: (steps, directions, batch, units) without or with the steps."""
    units, ref = new_axis(refs[0].shape[-1]), refs[0]
    directions = new_axis(len(refs))
    if len(refs) > 1:
        name = node.name if steps is not None else f"{node.name}_last"
        shape = (*ref.shape[:-1], 2 * ref.shape[-1])
        ref = reader.builder.add(name, CONCAT, tuple(refs), shape, {"axis": len(shape)})
    if steps is None:
        return OnnxValue(ref, (*directions, *units), (directions, (), units))
    return OnnxValue(ref, (*steps, *directions, *units), (steps, directions, (), units))


#: Op to its reader.
RECURRENT_LAYERS: Mapping[str, Reader] = {"LSTM": _read, "GRU": _read, "RNN": _read}
