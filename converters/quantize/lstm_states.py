"""Ranges of the numbers inside of a fused LSTM, which no runtime shows.

The operator keeps its states and gates to itself; at its end a runtime holds those of the last
step only. The operator is therefore computed again in NumPy, from the numbers that it takes and its
weights, with a state of zeros for each sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from converters.data.dataset import Samples
from converters.progress import Progress, Report
from converters.tflite.quantization import quantize_inputs
from converters.tflite.run import run_inside
from converters.tflite.unpacked import UnpackedModel

Floats = npt.NDArray[np.float32]

FUSED_LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
#: Number of tensors inside of a fused LSTM whose ranges the quantizer needs.
_INSIDE = 5
#: Place of the hidden values among them, behind those of the four gates.
_HIDDEN = 4
#: Places of groups of four among the inputs of the operator, in the order input gate, forget gate,
#: cell, output gate; the cell has no peephole.
_KERNELS, _RECURRENT = range(1, 5), range(5, 9)
_BIASES, _NORMS = range(12, 16), range(20, 24)
_PEEPHOLES = {0: 9, 1: 10, 3: 11}
_PROJECTION, _PROJECTION_BIAS, _LAST_OUTPUT, _CELL = 16, 17, 18, 19
#: Smallest and largest range of the cell for which the integer kernel has a tanh; with another one
#: it computes none and takes whatever lies in memory (`PortableApplyTanh` of TFLite).
_CELL_RANGE = 1.0, 64.0
#: Number that the kernel adds to a variance.
_TINY = 1e-8
_REPORT_EVERY = 50


def add_states(content: bytes, samples: Samples, report: Report) -> bytes:
    """Note the ranges of what is inside of each fused LSTM in a file.

    Args:
        content: Float .tflite of batch one.
        samples: Samples to measure the ranges on.
        report: Function that receives the progress every 50 samples.

    Returns:
        The float file with these ranges.

    Raises:
        ConversionError: The runtime cannot run the model.
    """
    model = UnpackedModel(content)
    operators = [op for op in model.operators if model.op(op) == FUSED_LSTM]
    specs = [model.spec(position) for position in model.inputs]
    batches = (quantize_inputs(specs, batch) for batch, _ in samples.batches(1))
    sources = [int(operator.inputs[0]) for operator in operators]
    lstms = [_FusedLstm(model, operator) for operator in operators]
    for done, values in enumerate(run_inside(content, batches, sources), start=1):
        for lstm, numbers in zip(lstms, values, strict=True):
            lstm.measure(numbers)
        if done % _REPORT_EVERY == 0:
            report(Progress("calibrate", done, len(samples)))
    for number, lstm in enumerate(lstms):
        lstm.note(number)
    return model.pack()


class _FusedLstm:
    """A fused LSTM of a file, and the ranges inside of it."""

    def __init__(self, model: UnpackedModel, operator: Any) -> None:
        self._model, self._operator = model, operator
        self._options = operator.builtinOptions
        inputs = enumerate(map(int, operator.inputs))
        constants = {place: model.constant(tensor) for place, tensor in inputs if tensor >= 0}
        self._weights = {place: c for place, c in constants.items() if c is not None}
        # The gates before their activation, the hidden values, the last output and the cell.
        self._bounds = [(np.inf, -np.inf)] * (_INSIDE + 2)

    def measure(self, sequence: Floats) -> None:
        """Widen the ranges by one sample.

        Args:
            sequence: Input of the operator, float32, shape (batch, steps, numbers), or (steps,
                batch, numbers) in a model that has the steps in front.
        """
        steps = sequence if self._options.timeMajor else sequence.swapaxes(0, 1)
        for values in self._run(steps):
            for place, value in values.items():
                low, high = self._bounds[place]
                self._bounds[place] = min(low, float(value.min())), max(high, float(value.max()))

    def _run(self, steps: Floats) -> Iterator[dict[int, Floats]]:
        """Yield the values of each step by their places among the bounds."""
        forget_kernel, recurrent = self._weights[_KERNELS[1]], self._weights[_RECURRENT[1]]
        cell = np.zeros((steps.shape[1], len(forget_kernel)), np.float32)
        output = np.zeros((steps.shape[1], recurrent.shape[1]), np.float32)
        # A model without an input gate takes what the forget gate leaves.
        first = [gate for gate in (0, 1, 2) if _KERNELS[gate] in self._weights]
        for step in steps:
            values = {gate: self._gate(gate, step, output, cell) for gate in first}
            forgotten = _sigmoid(self._normalize(1, values[1]))
            entering = _sigmoid(self._normalize(0, values[0])) if 0 in values else 1 - forgotten
            candidate = np.tanh(self._normalize(2, values[2]))
            cell = _clip(forgotten * cell + entering * candidate, self._options.cellClip)
            values[3] = self._gate(3, step, output, cell)
            hidden = _sigmoid(self._normalize(3, values[3])) * np.tanh(cell)
            output = self._project(hidden)
            yield {**values, _HIDDEN: hidden, _INSIDE: output, _INSIDE + 1: cell}

    def _gate(self, gate: int, step: Floats, output: Floats, cell: Floats) -> Floats:
        """Return what a gate computes before normalization, bias and activation."""
        weights = self._weights
        total = step @ weights[_KERNELS[gate]].T + output @ weights[_RECURRENT[gate]].T
        peephole = _PEEPHOLES.get(gate)
        return total + cell * weights[peephole] if peephole in weights else total

    def _normalize(self, gate: int, total: Floats) -> Floats:
        """Return the number of which a gate takes the sigmoid or tanh."""
        norm, bias = (self._weights.get(places[gate]) for places in (_NORMS, _BIASES))
        if norm is not None:
            deviation = total - total.mean(axis=1, keepdims=True)
            total = deviation / np.sqrt(total.var(axis=1, keepdims=True) + _TINY) * norm
        return total if bias is None else total + bias

    def _project(self, hidden: Floats) -> Floats:
        projection, bias = (self._weights.get(p) for p in (_PROJECTION, _PROJECTION_BIAS))
        if projection is None:
            return hidden
        output = hidden @ projection.T
        return _clip(output if bias is None else output + bias, self._options.projClip)

    def note(self, number: int) -> None:
        """Write the ranges into the model.

        Args:
            number: Number of the operator among the fused LSTMs, for names of tensors.
        """
        model, inputs = self._model, [int(i) for i in self._operator.inputs]
        first = len(model.tensors)
        for place in range(_INSIDE):
            tensor = schema.TensorT()
            tensor.name, tensor.shape, tensor.buffer = f"inside_{number}_{place}", [0], 0
            tensor.type = schema.TensorType.FLOAT32
            model.tensors.append(tensor)
            # Without normalization the kernel has a scale of its own for the gates.
            if place == _HIDDEN or _NORMS[place] in self._weights:
                model.set_range(first + place, *self._bounds[place])
        self._operator.intermediates = np.arange(first, first + _INSIDE, dtype=np.int32)
        model.set_range(inputs[_LAST_OUTPUT], *self._bounds[_INSIDE])
        widest = float(np.clip(np.abs(self._bounds[_INSIDE + 1]).max(), *_CELL_RANGE))
        model.set_range(inputs[_CELL], -widest, widest)


def _sigmoid(values: Floats) -> Floats:
    halves: Floats = np.tanh(values / 2) / 2
    return halves + np.float32(0.5)


def _clip(values: Floats, limit: float) -> Floats:
    """Clip values to a limit; 0 stands for no limit."""
    clipped: Floats = np.clip(values, -limit, limit) if limit > 0 else values
    return clipped
