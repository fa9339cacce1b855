"""Small .onnx files of `onnx.helper`: opset 13 and IR version 8 where nothing else is said."""

import functools
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from device_agent.contract.onnx_scales import SCALES_KEY, IntegerScale, scales_to_text

OPSET, IR_VERSION = 13, 8

#: Scale of each integer input and output of `quantized_model`.
INPUT_SCALE, OUTPUT_SCALE = IntegerScale(0.5, 128), IntegerScale(0.25, 10)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: Sequence[onnx.TensorProto] = (),
    opset: int = OPSET,
    ir_version: int = IR_VERSION,
    metadata: dict[str, str] | None = None,
    domains: Sequence[str] = (),
) -> bytes:
    """Return the bytes of a model."""
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), list(constants))
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(one, 1) for one in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)
    helper.set_model_props(model, metadata or {})
    return bytes(model.SerializeToString())


def value(
    name: str, shape: Sequence[int | str | None], kind: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    """Return the description of an input or output."""
    return helper.make_tensor_value_info(name, kind, shape)


def relu_model(kind: int = TensorProto.FLOAT, opset: int = OPSET, ir_version: int = 8) -> bytes:
    """`x` of shape (1, 4) to `y`: its RELU."""
    node = helper.make_node("Relu", ["x"], ["y"], "relu")
    ends = [value("x", [1, 4], kind)], [value("y", [1, 4], kind)]
    return model_of([node], *ends, opset=opset, ir_version=ir_version)


def add_model() -> bytes:
    """float32 `a` + `b` of shape (1, 4) to `sum`."""
    node = helper.make_node("Add", ["a", "b"], ["sum"])
    return model_of([node], [value("a", [1, 4]), value("b", [1, 4])], [value("sum", [1, 4])])


def open_batch_model() -> bytes:
    """float32 `x` of shape (batch, 4) to `y`, its RELU, and `places`, where it is not 0."""
    nodes = [
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("NonZero", ["y"], ["places"]),
    ]
    outputs = [value("y", ["batch", 4]), value("places", [2, "count"], TensorProto.INT64)]
    return model_of(nodes, [value("x", ["batch", 4])], outputs)


def gather_model() -> bytes:
    """float32 `values` of shape (4,) at int32 `index` to `value`; fails with an index above 3."""
    node = helper.make_node("Gather", ["values", "index"], ["value"])
    inputs = [value("values", [4]), value("index", [1], TensorProto.INT32)]
    return model_of([node], inputs, [value("value", [1])])


def foreign_model() -> bytes:
    """An op of somebody's own, which no runtime has."""
    node = helper.make_node("Theirs", ["x"], ["y"], domain="com.somebody")
    return model_of([node], [value("x", [1, 4])], [value("y", [1, 4])], domains=["com.somebody"])


def text_model() -> bytes:
    """Strings in, strings out."""
    node = helper.make_node("Identity", ["x"], ["y"])
    ends = [value(name, [1], TensorProto.STRING) for name in ("x", "y")]
    return model_of([node], ends[:1], ends[1:])


def quantized_model(scales: bool = True) -> bytes:
    """uint8 `x` to uint8 `y` of shape (1, 4): the RELU of the real values, quantized again."""
    constants = [
        numpy_helper.from_array(np.asarray(number, dtype), name)
        for name, number, dtype in (
            ("x_scale", INPUT_SCALE.scale, np.float32),
            ("x_zero", INPUT_SCALE.zero_point, np.uint8),
            ("y_scale", OUTPUT_SCALE.scale, np.float32),
            ("y_zero", OUTPUT_SCALE.zero_point, np.uint8),
        )
    ]
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "x_scale", "x_zero"], ["real"]),
        helper.make_node("Relu", ["real"], ["relu"]),
        helper.make_node("QuantizeLinear", ["relu", "y_scale", "y_zero"], ["y"]),
    ]
    ends = [value(name, [1, 4], TensorProto.UINT8) for name in ("x", "y")]
    metadata = {SCALES_KEY: scales_to_text({"x": INPUT_SCALE, "y": OUTPUT_SCALE})}
    return model_of(nodes, ends[:1], ends[1:], constants, metadata=metadata if scales else None)


@functools.cache
def convolution_model(size: int = 32, channels: int = 32, layers: int = 4) -> bytes:
    """float32 `image` of shape (1, 3, size, size) to `scores` of 10: convolutions and a softmax."""
    random = np.random.default_rng(0)
    nodes, constants, source, width = [], [], "image", 3
    for layer in range(layers):
        kernel = random.standard_normal((channels, width, 3, 3)).astype(np.float32) / 10
        constants.append(numpy_helper.from_array(kernel, f"kernel{layer}"))
        pads = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
        inputs = [source, f"kernel{layer}"]
        nodes.append(helper.make_node("Conv", inputs, [f"map{layer}"], f"conv{layer}", **pads))
        nodes.append(helper.make_node("Relu", [f"map{layer}"], [f"relu{layer}"], f"relu{layer}"))
        source, width = f"relu{layer}", channels
    weights = random.standard_normal((channels, 10)).astype(np.float32)
    constants.append(numpy_helper.from_array(weights, "weights"))
    nodes += [
        helper.make_node("GlobalAveragePool", [source], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "weights"], ["logits"], "dense"),
        helper.make_node("Softmax", ["logits"], ["scores"], "softmax", axis=1),
    ]
    inputs = [value("image", [1, 3, size, size])]
    return model_of(nodes, inputs, [value("scores", [1, 10])], constants)
