"""Small .onnx files for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

FLOAT = onnx.TensorProto.FLOAT


def op_model(
    op: str = "Relu",
    opset: int = 13,
    ir: int = 8,
    domain: str = "",
    shape: Sequence[int | str] = (1,),
) -> bytes:
    """One op from input "x" to output "y", float32."""
    nodes = [helper.make_node(op, ["x"], ["y"], domain=domain)]
    return model_bytes(nodes, {"x": shape}, {"y": shape}, opset=opset, ir=ir, domain=domain)


def model_bytes(
    nodes: Sequence[Any],
    inputs: dict[str, Sequence[int | str]],
    outputs: dict[str, Sequence[int | str]],
    stored: dict[str, np.ndarray[Any, Any]] | None = None,
    *,
    opset: int = 13,
    ir: int = 8,
    domain: str = "",
) -> bytes:
    """A model of these nodes, whose inputs and outputs are float32."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(values, name) for name, values in (stored or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = ir
    return bytes(model.SerializeToString())


def convolution() -> bytes:
    """A convolution of 2 to 3 channels and a product of matrices: 1,080 and 24 MACs."""
    rng = np.random.default_rng(0)
    stored = {
        "kernel": rng.normal(size=(3, 2, 3, 3)).astype(np.float32),
        "matrix": rng.normal(size=(12, 2)).astype(np.float32),
        "shape": np.array([1, 12], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["maps"], name="first"),
        helper.make_node("Reshape", ["maps", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["y"], name="last"),
    ]
    return model_bytes(nodes, {"x": (1, 2, 4, 4)}, {"y": (1, 2)}, stored)
