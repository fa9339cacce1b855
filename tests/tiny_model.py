"""The smallest .tflite that a runtime runs: made from the schema, without TensorFlow."""

from collections.abc import Callable
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

#: Real values are these times the stored ones.
SCALE = 0.5
SHAPE = [1, 4]


def relu_model(outputs: int = 1) -> bytes:
    """int8 `x` to `y0`, `y1`, ...: each the RELU of `x`."""
    tensors = [_tensor("x")] + [_tensor(f"y{number}") for number in range(outputs)]
    operators = [_operator([0], [1 + number]) for number in range(outputs)]
    code = _code(schema.BuiltinOperator.RELU)
    return _packed(tensors, operators, code, [0], list(range(1, 1 + outputs)))


def pictures_model(shapes: list[list[int]]) -> bytes:
    """float32 `image0`, … of these shapes to `same0`, …: the RELU, which leaves what is not < 0."""
    names = [f"{side}{number}" for side in ("image", "same") for number in range(len(shapes))]
    tensors = [_tensor(name) for name in names]
    for tensor, shape in zip(tensors, shapes * 2, strict=True):
        tensor.shape, tensor.type, tensor.quantization = shape, schema.TensorType.FLOAT32, None
    code = _code(schema.BuiltinOperator.RELU)
    code.version = 1
    count = len(shapes)
    operators = [_operator([number], [count + number]) for number in range(count)]
    return _packed(tensors, operators, code, list(range(count)), list(range(count, 2 * count)))


def too_new_model() -> bytes:
    """FULLY_CONNECTED version 12, which no tflite-runtime loads: TFLite 2.17 brought it."""
    code = _code(schema.BuiltinOperator.FULLY_CONNECTED)
    code.version = 12
    return _packed([_tensor("x"), _tensor("y")], [_operator([0], [1])], code, [0], [1])


def custom_op_model() -> bytes:
    """An op of somebody's own, which no runtime has."""
    code = _code(schema.BuiltinOperator.CUSTOM)
    code.customCode = "their-own"
    return _packed([_tensor("x"), _tensor("y")], [_operator([0], [1])], code, [0], [1])


def add_model() -> bytes:
    """int8 `a` + `b` to `sum`."""
    tensors = [_tensor("a"), _tensor("b"), _tensor("sum")]
    operator = _operator([0, 1], [2])
    operator.builtinOptionsType = schema.BuiltinOptions.AddOptions
    operator.builtinOptions = schema.AddOptionsT()
    return _packed(tensors, [operator], _code(schema.BuiltinOperator.ADD), [0, 1], [2])


def gather_model() -> bytes:
    """int8 `values` at int32 `index`: loads everywhere, fails with an index above 3."""
    index = _tensor("index")
    index.type, index.shape, index.quantization = schema.TensorType.INT32, [1], None
    operator = _operator([0, 1], [2])
    operator.builtinOptionsType = schema.BuiltinOptions.GatherOptions
    operator.builtinOptions = schema.GatherOptionsT()
    operator.builtinOptions.axis = 1
    found = _tensor("found")
    found.shape = [1, 1]
    code = _code(schema.BuiltinOperator.GATHER)
    return _packed([_tensor("values"), index, found], [operator], code, [0, 1], [2])


def with_changes(content: bytes, change: Callable[[Any], object]) -> bytes:
    """Another model: `change` alters the tables of its first subgraph."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    change(model.subgraphs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def with_names(content: bytes, names: list[str]) -> bytes:
    """The model with other names of its tensors, in the order of the tensors."""

    def change(graph: Any) -> None:
        for tensor, name in zip(graph.tensors, names, strict=True):
            tensor.name = name

    return with_changes(content, change)


def never_runs_model() -> bytes:
    """int8 `x` [1, 200] at int32 `size` [1]: RESHAPE, which refuses every size up to 99."""
    x, size, y = _tensor("x"), _tensor("size"), _tensor("y")
    x.shape, size.shape, y.shape = [1, 200], [1], [200]
    size.type, size.quantization = schema.TensorType.INT32, None
    code = _code(schema.BuiltinOperator.RESHAPE)
    code.version = 1
    return _packed([x, size, y], [_operator([0, 1], [2])], code, [0, 1], [2])


def repeat_model() -> bytes:
    """float32 `x` [2], int32 `times` [1] to `y`: TILE, whose output is as long as `times` says."""
    x, times, y = _tensor("x"), _tensor("times"), _tensor("y")
    x.shape, times.shape, y.shape = [2], [1], []
    x.type = y.type = schema.TensorType.FLOAT32
    times.type = schema.TensorType.INT32
    x.quantization = times.quantization = y.quantization = None
    code = _code(schema.BuiltinOperator.TILE)
    code.version = 1
    operator = _operator([0, 1], [2])
    operator.builtinOptionsType = schema.BuiltinOptions.TileOptions
    operator.builtinOptions = schema.TileOptionsT()
    return _packed([x, times, y], [operator], code, [0, 1], [2])


def _tensor(name: str) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name, SHAPE, schema.TensorType.INT8
    tensor.buffer = 0
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = [SCALE]
    tensor.quantization.zeroPoint = [0]
    return tensor


def _operator(inputs: list[int], outputs: list[int]) -> schema.OperatorT:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, inputs, outputs
    return operator


def _code(builtin: int) -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = 2  # the first that takes int8
    return code


def _packed(
    tensors: list[schema.TensorT],
    operators: list[schema.OperatorT],
    code: schema.OperatorCodeT,
    inputs: list[int],
    outputs: list[int],
) -> bytes:
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = tensors, operators
    graph.inputs, graph.outputs = inputs, outputs
    model = schema.ModelT()
    model.version = 3
    model.operatorCodes, model.subgraphs, model.buffers = [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
