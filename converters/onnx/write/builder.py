"""Collects the nodes and stored values of an .onnx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.onnx.runtime import missing_package

Array = npt.NDArray[Any]

#: Versions that every ONNX Runtime from 1.14 on loads.
OPSET, IR = 13, 8


class OnnxBuilder:
    """The nodes and stored values of one graph, in the order in which they are added."""

    def __init__(self) -> None:
        """Begin an empty graph.

        Raises:
            MissingConvertExtraError: Package `onnx` is not installed.
        """
        try:
            import onnx
        except ImportError as error:
            raise missing_package("onnx", "writes .onnx files") from error
        self._onnx: Any = onnx
        self._nodes: list[Any] = []
        self._stored: dict[str, Any] = {}
        self._known: dict[tuple[Any, ...], str] = {}
        self._names: set[str] = set()
        self._renamed: set[str] = set()

    def name(self, wish: str) -> str:
        """Return a name that no other tensor has."""
        number, name = 2, wish or "tensor"
        while name in self._names:
            name, number = f"{wish}_{number}", number + 1
        self._names.add(name)
        return name

    def store(self, values: Array, wish: str = "constant") -> str:
        """Store values once, and return their name.

        Args:
            values: Array of any shape and any type of ONNX.
            wish: Name, unless another tensor has it.
        """
        array = np.ascontiguousarray(values)
        key = (array.dtype.str, values.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = self.name(wish)
            tensor = self._onnx.numpy_helper.from_array(
                array.reshape(values.shape), self._known[key]
            )
            self._stored[self._known[key]] = tensor
        return self._known[key]

    def add(self, op: str, inputs: Sequence[str], wish: str = "", **attributes: Any) -> str:
        """Add a node of one output, and return the name of that output.

        Args:
            op: Name of the op.
            inputs: Names of its inputs; "" for one that is left out.
            wish: Name of the output, unless another tensor has it.
            attributes: Attributes of the op.
        """
        return self.add_several(op, inputs, [wish or op.lower()], **attributes)[0]

    def add_several(
        self, op: str, inputs: Sequence[str], wishes: Sequence[str], **attributes: Any
    ) -> list[str]:
        """Add a node, and return the names of its outputs; an output without a wish is left out."""
        outputs = [self.name(wish) if wish else "" for wish in wishes]
        node = self._onnx.helper.make_node(
            op, list(inputs), outputs, name=next(filter(None, outputs)), **attributes
        )
        self._nodes.append(node)
        return outputs

    def rename_output(self, name: str, new: str) -> None:
        """Let the tensor that becomes an output of the graph have the name of that output."""
        makers = [node for node in self._nodes if name in node.output]
        if not makers or name in self._renamed:  # an input, a stored value, or another output
            node = self._onnx.helper.make_node("Identity", [name], [new], name=new)
            self._nodes.append(node)
            return
        self._renamed.add(new)
        for node in self._nodes:
            for names in (node.input, node.output):
                for position, each in enumerate(names):
                    if each == name:
                        names[position] = new

    def content(
        self,
        inputs: Mapping[str, tuple[str, tuple[int, ...]]],
        outputs: Mapping[str, tuple[str, tuple[int, ...]]],
        metadata: Mapping[str, str],
    ) -> bytes:
        """Return the file.

        Args:
            inputs: Name of each input to its type, as NumPy names it, and its shape.
            outputs: Name of each output to its type and shape.
            metadata: Entries of `metadata_props`.

        Raises:
            RuntimeError: The checker of ONNX refuses the file: a bug in kedge.
        """
        helper = self._onnx.helper

        def infos(of_all: Mapping[str, tuple[str, tuple[int, ...]]]) -> list[Any]:
            return [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape
                )
                for name, (dtype, shape) in of_all.items()
            ]

        used = {name for node in self._nodes for name in node.input}
        stored = [tensor for name, tensor in self._stored.items() if name in used]
        graph = helper.make_graph(self._nodes, "kedge", infos(inputs), infos(outputs), stored)
        model = helper.make_model(
            graph, producer_name="kedge", opset_imports=[helper.make_opsetid("", OPSET)]
        )
        model.ir_version = IR
        helper.set_model_props(model, dict(metadata))
        try:
            self._onnx.checker.check_model(model, full_check=True)
        except Exception as error:  # of C++: the checker and shape inference have a class each
            raise RuntimeError(f"the .onnx that was written is not valid: {error}") from error
        return bytes(model.SerializeToString())
