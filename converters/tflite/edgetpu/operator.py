"""One operator of a .tflite as the rules of the Edge TPU compiler see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from converters.tflite.subgraph import Subgraph, numbers

_DTYPES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")
}


@dataclass(frozen=True)
class OperatorTensor:
    """One input or output of an operator."""

    name: str
    """Name in the file; may be empty."""
    shape: tuple[int, ...]
    """Sizes of its axes; 1 where an axis is dynamic."""
    dtype: str
    """Type, such as "int8"."""
    is_constant: bool
    """Whether the file stores its values."""
    is_dynamic: bool
    """Whether the file leaves the size of an axis open."""
    is_quantized: bool
    """Whether it has a scale."""

    @property
    def inner_shape(self) -> tuple[int, ...]:
        """Shape without axes of size 1 at the front."""
        shape = self.shape
        while shape and shape[0] == 1:
            shape = shape[1:]
        return shape


@dataclass(frozen=True)
class EdgetpuOperator:
    """One operator with what the rules ask for."""

    number: int
    """Position in the file, from 0."""
    op: str
    """Name of the op, such as "CONV_2D"."""
    version: int
    """Version of the op."""
    inputs: tuple[OperatorTensor, ...]
    """Inputs that are present, in the order of the op."""
    outputs: tuple[OperatorTensor, ...]
    """Outputs, in the order of the op."""
    options: Any
    """Options of the op, an object of the schema of TFLite; `None` where it has none."""
    macs: int
    """Multiply-accumulates."""
    constants: tuple[Any, ...]
    """Values of each input, an array of its shape and type; `None` where it is computed."""

    def option(self, name: str, default: Any = 0) -> Any:
        """Return one option of the op, or a default where the file leaves it out."""
        return getattr(self.options, name, default)


def edgetpu_operators(model: Any) -> tuple[EdgetpuOperator, ...]:
    """Return the operators of the first subgraph, in the order in which they run.

    Args:
        model: Object of the schema, of a file that `converters.tflite.reader.read_model` accepted.
    """
    graph = Subgraph(model, 0)
    operators = []
    for number, (name, op) in enumerate(graph.operators):
        code = model.operatorCodes[op.opcodeIndex]
        present = [tensor for tensor in numbers(op.inputs) if tensor >= 0]
        operators.append(
            EdgetpuOperator(
                number=number,
                op=name,
                version=int(code.version),
                inputs=tuple(_tensor(model, graph, tensor) for tensor in present),
                outputs=tuple(_tensor(model, graph, tensor) for tensor in numbers(op.outputs)),
                options=op.builtinOptions,
                macs=graph.macs(name, op),
                constants=tuple(graph.constant(tensor) for tensor in present),
            )
        )
    return tuple(operators)


def _tensor(model: Any, graph: Subgraph, position: int) -> OperatorTensor:
    tensor = model.subgraphs[0].tensors[position]
    quantization = tensor.quantization
    scales = () if quantization is None or quantization.scale is None else quantization.scale
    return OperatorTensor(
        name=graph.name(position),
        shape=graph.shape(position),
        dtype=_DTYPES.get(tensor.type, "unknown"),
        is_constant=graph.is_constant(position),
        is_dynamic=-1 in numbers(tensor.shapeSignature) or -1 in numbers(tensor.shape),
        is_quantized=len(scales) > 0,
    )
