"""Makes tiny ONNX models of random weights, node by node."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]

#: IR version that goes with the opsets that the tests use.
_IR = 10


class OnnxMaker:
    """A model that is being made; its inputs have a free batch axis unless a test fixes it."""

    def __init__(self, opset: int = 17, seed: int = 0) -> None:
        self.opset = opset
        self._random = np.random.default_rng(seed)
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(
        self, *shape: int | str, name: str = "", dtype: int = TensorProto.FLOAT, batch: Any = "n"
    ) -> str:
        """Add an input of a shape without the batch axis."""
        name = name or f"x{len(self._inputs)}"
        self._inputs.append(helper.make_tensor_value_info(name, dtype, [batch, *shape]))
        return name

    def random(self, *shape: int, scale: float = 0.5) -> str:
        """Add random constant numbers."""
        return self.constant(self._random.normal(0, scale, shape).astype(np.float32))

    def positive(self, *shape: int) -> str:
        """Add random constant numbers from 0.5 to 1.5."""
        return self.constant(self._random.uniform(0.5, 1.5, shape).astype(np.float32))

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Add constant numbers."""
        name = f"c{len(self._constants)}"
        array = np.asarray(values, dtype)
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def wholes(self, *values: int) -> str:
        """Add constant whole numbers, int64."""
        return self.constant(values, np.int64)

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; return the name of its output, or a list of them."""
        number = len(self._nodes)
        names = [f"t{number}_{place}" for place in range(outputs)]
        node = helper.make_node(kind, inputs, names, name=f"/{kind.lower()}/{number}", **attributes)
        self._nodes.append(node)
        return names[0] if outputs == 1 else names

    def output(self, *names: str) -> None:
        """Make tensors outputs of the model."""
        for name in names:
            info = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            self._outputs.append(info)

    def model(self) -> Any:
        """The model, as a ModelProto."""
        graph = helper.make_graph(self._nodes, "tiny", self._inputs, self._outputs, self._constants)
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR)

    def content(self) -> bytes:
        """The model as the content of a file."""
        content: bytes = self.model().SerializeToString()
        return content


def reference_answers(content: bytes, feeds: list[dict[str, Array]]) -> list[list[Array]]:
    """Answers of onnxruntime to some samples of a batch of one."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return [session.run(None, feed) for feed in feeds]
