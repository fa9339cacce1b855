"""Reads a float .tflite as a graph."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.graph.builder import GraphBuilder
from converters.graph.fold import fold_graph
from converters.graph.node import ACTIVATION, Graph
from converters.graph.patterns import recognize_functions
from converters.graph.reshapes import join_reshapes
from converters.graph.tflite.activations import ACTIVATION_RULES
from converters.graph.tflite.arithmetic import ARITHMETIC_RULES
from converters.graph.tflite.constants import fold_constants, stored_constant
from converters.graph.tflite.kernels import KERNEL_RULES
from converters.graph.tflite.moves import MOVE_RULES
from converters.graph.tflite.operator import FileOperator, Input, Rule
from converters.graph.tflite.recurrent import RECURRENT_RULES
from converters.graph.tflite.value import Value, graph_shape
from converters.graph.tflite.windows import WINDOW_RULES
from converters.tflite.unpacked import UnpackedModel

#: Name of each builtin that is read to its rule.
RULES: dict[str, Rule] = {
    **KERNEL_RULES,
    **ARITHMETIC_RULES,
    **ACTIVATION_RULES,
    **MOVE_RULES,
    **WINDOW_RULES,
    **RECURRENT_RULES,
}
#: Activations that only patterns have: no kernel computes them.
_NO_KERNEL = ("erf", "sign")
#: Errors that tensors raise that do not fit their operator.
_MISFITS = (
    *(ValueError, TypeError, IndexError, KeyError, AttributeError, ArithmeticError),
    *(AssertionError, MemoryError, RecursionError),
)
#: Ends of names that say what an operator is rather than which one.
_PLAIN_ENDS = re.compile(
    r"^(Relu6?|BiasAdd|Conv2D|MatMul|Add|add|depthwise|separable_conv2d|FusedBatchNormV3|batchnorm|"
    r"AvgPool|MaxPool|Mean|Softmax|Sigmoid|Identity|Reshape|Conv1D|convolution)_?\d*$"
)
_LONGEST_NAME = 32
#: Most numbers of a tensor; a damaged file may claim any number.
_MOST_NUMBERS = 1 << 28


@dataclass(frozen=True)
class FileGraph:
    """A file as a graph."""

    graph: Graph
    """The graph, folded."""
    unfolded: Graph
    """The graph with its `affine` nodes: each of its values is one of the file's."""
    tensors: dict[str, int]
    """Name of a node of `unfolded` to the position of the tensor that has its output."""


def read_tflite_graph(model: UnpackedModel, origin: str, input_names: Sequence[str]) -> FileGraph:
    """Bring a float .tflite to a graph of the same answers.

    Args:
        model: The file, whose batch is one. Nothing in it is trusted.
        origin: Name of the model in messages.
        input_names: Names of its inputs in the graph, in the order of the file.

    Raises:
        ConversionError: An operator cannot be represented; the message names it and its tensor.
    """
    reader = _Reader(model, origin)
    try:
        model.keep_rows_positive()
        reader.add_inputs(input_names)
        for number, operator in enumerate(model.operators):
            reader.read(number, operator)
        unfolded = join_reshapes(recognize_functions(reader.graph()))
        reader.refuse_leftovers(unfolded)
        folded = fold_graph(unfolded)
    except _MISFITS as error:
        raise ConversionError(
            f"{origin}: its operators do not fit together ({_first_line(error)})",
            "The file is damaged, or uses its tensors in a way that kedge does not know. Convert "
            "it again, or report it.",
        ) from error
    names = {node.name for node in unfolded.nodes}
    tensors = {name: tensor for name, tensor in reader.tensors.items() if name in names}
    return FileGraph(folded, unfolded, tensors)


class _Reader:
    """The graph so far, and what each tensor of the file is in it."""

    def __init__(self, model: UnpackedModel, origin: str) -> None:
        self._model, self._origin = model, origin
        self._builder = GraphBuilder(origin)
        self._inputs: dict[int, Input] = {-1: None}
        self._operators: dict[str, FileOperator] = {}
        self._names: set[str] = set()
        self.tensors: dict[str, int] = {}

    def add_inputs(self, names: Sequence[str]) -> None:
        """Add the inputs of the model."""
        for name, tensor in zip(names, self._model.inputs, strict=True):
            shape = self._model.shape(tensor)
            dtype = self._model.spec(tensor).dtype
            if not 0 < prod(shape) <= _MOST_NUMBERS or min(shape) < 1:
                raise ConversionError(
                    f"{self._origin}: the input {name!r} has the shape {shape}",
                    "Build the model again with an input of a fixed size.",
                )
            ref = self._builder.input(_valid_name(name), graph_shape(shape), dtype)
            self._inputs[tensor] = Value(ref, shape)

    def read(self, number: int, raw: Any) -> None:
        """Add an operator of the file.

        Args:
            number: Place of the operator in the file.
            raw: The operator, as the schema has it.

        Raises:
            ConversionError: The operator cannot be represented.
        """
        kind, options = self._model.op(raw), raw.builtinOptions
        if kind == "CUSTOM":
            kind, options = self._model.custom_name(raw), raw.customOptions
        outputs = [int(tensor) for tensor in raw.outputs]
        name = self._model.name(outputs[0]) if outputs else f"operator {number}"
        names = (self._unique(_short_name(name, kind)), name)
        positions = [int(tensor) for tensor in raw.inputs]
        operator = FileOperator(self._builder, kind, options, names, ())
        try:
            inputs = tuple((position, self._input(position)) for position in positions)
            dtype = self._model.spec(outputs[0]).dtype if outputs else ""
            operator = FileOperator(self._builder, kind, options, names, inputs, dtype)
            if self._is_folded(kind, options, inputs, outputs):
                return
            if kind not in RULES:
                raise operator.refusal()
            answer = RULES[kind](operator)
        except _MISFITS as error:
            raise operator.refusal(
                f"its tensors do not fit together ({_first_line(error)})"
            ) from error
        self._keep(operator, answer, outputs)

    def _unique(self, name: str) -> str:
        unique, number = name, 1
        while unique in self._names or unique in self._builder:
            unique, number = f"{name}_{number}", number + 1
        self._names.add(unique)
        return unique

    def _input(self, tensor: int) -> Input:
        if tensor not in self._inputs:
            is_state = self._model.tensors[tensor].isVariable
            shape = self._model.shape(tensor)
            constant = np.zeros(shape) if is_state else stored_constant(self._model, tensor)
            if constant is None:
                raise ValueError(f"nothing computes the tensor {self._model.name(tensor)!r}")
            self._inputs[tensor] = constant
        return self._inputs[tensor]

    def _is_folded(
        self, kind: str, options: Any, inputs: Sequence[tuple[int, Input]], outputs: Sequence[int]
    ) -> bool:
        """Compute an operator of constants, or the shape of a tensor; say whether it was one."""
        values = [value for _, value in inputs]
        if kind == "SHAPE" and isinstance(values[0], Value):
            self._inputs[outputs[0]] = np.array(values[0].shape, np.int32)
            return True
        if not values or any(value is None or isinstance(value, Value) for value in values):
            return False
        answer = fold_constants(kind, options, [np.asarray(value) for value in values])
        if answer is None:
            return False
        self._inputs[outputs[0]] = answer
        return True

    def _keep(
        self, operator: FileOperator, answer: Value | tuple[Value, ...], outputs: Sequence[int]
    ) -> None:
        answers = answer if isinstance(answer, tuple) else (answer,)
        if len(answers) != len(outputs):
            raise operator.refusal(f"it has {len(outputs)} outputs, expected {len(answers)}")
        for value, tensor in zip(answers, outputs, strict=True):
            if prod(value.shape) > _MOST_NUMBERS:
                raise operator.refusal(f"its output has the shape {value.shape}")
            if prod(value.shape) != prod(value.ref.shape):
                raise operator.refusal(f"{value.ref.shape} are not the numbers of {value.shape}")
            self._inputs[tensor] = value
            self.tensors.setdefault(value.ref.name, tensor)
            self._operators.setdefault(value.ref.name, operator)

    def graph(self) -> Graph:
        """The graph of all operators so far.

        Raises:
            ConversionError: An output of the model is a constant or one of its inputs.
        """
        outputs = []
        for tensor in self._model.outputs:
            value = self._inputs.get(tensor)
            if not isinstance(value, Value):
                raise ConversionError(
                    f"{self._origin}: the output {self._model.name(tensor)!r} is a constant",
                    "Give a model whose outputs depend on its inputs.",
                )
            outputs.append(self._builder.floats_of(value.ref))
        return self._builder.graph("model", outputs)

    def refuse_leftovers(self, graph: Graph) -> None:
        """Refuse activations of which no pattern was recognized.

        Raises:
            ConversionError: There is one; the message names its operator.
        """
        for node in graph.nodes:
            if node.op == ACTIVATION and node.attributes["function"] in _NO_KERNEL:
                raise self._operators[node.name].refusal("it is part of no function that is known")


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _short_name(name: str, kind: str) -> str:
    """A valid, short name of a node from that of a tensor, which may be a path of many layers."""
    first = name.partition(";")[0].removesuffix(":0")
    parts = [part for part in first.split("/") if part]
    while len(parts) > 1 and _PLAIN_ENDS.match(parts[-1]):
        parts.pop()
    return _valid_name(parts[-1] if parts else kind.lower())[:_LONGEST_NAME]


def _valid_name(name: str) -> str:
    """A name that a layer of tf-keras may have."""
    valid = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_-") or "tensor"
    return valid if re.match(r"[A-Za-z0-9.]", valid) else f"t{valid}"
