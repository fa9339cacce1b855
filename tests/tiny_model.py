"""The smallest .tflite that a runtime runs: made from the schema, without TensorFlow."""

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
    """int8 `values` at int32 `index`: loads everywhere, fails when run with an index too large."""
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
