"""The tensors of a .tflite while it is written as ONNX: their names, axes and types there.

Quantized tensors are uint8 in ONNX: ONNX Runtime was seen to saturate signed ones wrongly on ARM,
and computes uint8 activations with int8 weights fastest. `DequantizeLinear` and `QuantizeLinear`
stand around each op that computes, so that a runtime may join them into one that computes in
integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from converters.errors import ConversionError
from converters.onnx.write.builder import OnnxBuilder
from converters.tflite.subgraph import Subgraph
from converters.tflite.unpacked import UnpackedModel

Array = npt.NDArray[Any]

#: Orders of the axes of pictures: that of TFLite, and that of ONNX's convolutions.
LAST, FIRST = "channels last", "channels first"
TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
_ACTIVATION = schema.ActivationFunctionType
_NAMES = {number: name for name, number in vars(_ACTIVATION).items() if not name.startswith("_")}
#: Activation of an op to the lowest and highest number that it lets through.
BOUNDS: dict[str, tuple[float, float]] = {
    "RELU": (0.0, np.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU_0_TO_1": (0.0, 1.0),
}


@dataclass(frozen=True)
class Quantization:
    """Scales of a quantized tensor."""

    scales: npt.NDArray[np.float32]
    """Real value of one step, float32, shape (1,) or one for each channel."""
    points: npt.NDArray[np.int64]
    """Integer that stands for 0.0, int64, shape of `scales`, in the type of the .tflite."""
    axis: int
    """Axis of the channels."""


class Values:
    """The tensors of one .tflite, and the .onnx that grows from them."""

    builder: OnnxBuilder
    """Nodes and stored values of the .onnx."""
    model: UnpackedModel
    """The .tflite."""

    symmetric: bool
    """Whether the zero points of the .onnx are 0."""

    def __init__(self, model: UnpackedModel, symmetric: bool) -> None:
        self.builder, self.model, self.symmetric = OnnxBuilder(), model, symmetric
        self._graph = Subgraph(model.model, 0)
        self._names: dict[tuple[int, str], str] = {}

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return the shape of a tensor in the .tflite, for a batch of one."""
        return self.model.shape(tensor)

    def dtype(self, tensor: int) -> str:
        """Return NumPy's name of a tensor's type in the .tflite."""
        return self.model.spec(tensor).dtype

    def quantization(self, tensor: int) -> Quantization | None:
        """Return the scales of a quantized tensor in the .onnx; None for others.

        The zero points are those of the type in the .tflite. A symmetric file has others, which
        reach as far to both sides of 0.

        Raises:
            ConversionError: It is quantized in a way that ONNX of this version has not.
        """
        of_file = self.file_quantization(tensor)
        if of_file is None or not self.symmetric or self.dtype(tensor) not in ("int8", "uint8"):
            return of_file
        if not of_file.points.any() or len(of_file.scales) > 1:
            return of_file
        limits = np.iinfo(self.dtype(tensor))
        reach = max(limits.max - int(of_file.points[0]), int(of_file.points[0]) - limits.min)
        scales = (of_file.scales * np.float32(reach / 127)).astype(np.float32)
        return Quantization(scales, np.zeros(1, np.int64), 0)

    def file_quantization(self, tensor: int) -> Quantization | None:
        """Return the scales of a quantized tensor in the .tflite; None for others.

        Raises:
            ConversionError: It is quantized in a way that ONNX of this version has not.
        """
        of_tensor = self.model.tensors[tensor].quantization
        dtype = self.dtype(tensor)
        if of_tensor is None or of_tensor.scale is None or not len(of_tensor.scale):
            return None
        if dtype in ("float32", "float16", "int64", "bool"):
            return None
        if dtype not in ("int8", "uint8", "int4", "int2", "int32"):
            raise ConversionError(
                f"the tensor {self.model.name(tensor)!r} is quantized to {dtype}, which files of "
                "opset 13 do not have",
                "Use a recipe of 8-bit activations, such as ptq_w8a8 or qat_w8a8.",
            )
        scales = np.asarray(of_tensor.scale, np.float32)
        points = of_tensor.zeroPoint
        points = np.zeros(len(scales)) if points is None else np.asarray(points)
        points = np.broadcast_to(points.astype(np.int64), scales.shape)
        return Quantization(scales, points, int(of_tensor.quantizedDimension or 0))

    def constant(self, tensor: int) -> Array | None:
        """Return the stored values of a tensor, in its shape; None where the file stores none.

        Raises:
            ConversionError: They are stored in sparse form.
        """
        if tensor < 0 or not self.model.is_stored(tensor):
            return None
        if self.model.tensors[tensor].sparsity is not None:
            raise ConversionError(
                f"the tensor {self.model.name(tensor)!r} is stored in sparse form",
                "Convert the model without that form.",
            )
        return self._graph.constant(tensor)

    def numbers(self, tensor: int) -> list[int]:
        """Return the stored whole numbers of a tensor, such as axes.

        Raises:
            ConversionError: They are computed, not stored.
        """
        values = self.constant(tensor)
        if values is None:
            raise ConversionError(
                f"{self.model.name(tensor)!r} holds axes or sizes that are computed while the "
                "model runs",
                "Build the model with fixed sizes.",
            )
        return [int(value) for value in values.reshape(-1)]

    def is_first(self, tensor: int) -> bool:
        """Whether a tensor is there in the order of ONNX's convolutions."""
        return (tensor, FIRST) in self._names

    def stored_type(self, tensor: int) -> str:
        """Return the type of a tensor in the .onnx."""
        dtype = self.dtype(tensor)
        if dtype in ("int8", "uint8") and self.file_quantization(tensor) is not None:
            return "int8" if self.symmetric else "uint8"
        return dtype

    def set(self, tensor: int, name: str, order: str = LAST) -> None:
        """Note the name of a tensor of the .onnx that holds a tensor of the .tflite."""
        self._names[tensor, order] = name

    def get(self, tensor: int, order: str = LAST) -> str:
        """Return the name of a tensor in the .onnx, as it is stored: integers where quantized."""
        if (tensor, order) not in self._names:
            other = FIRST if order == LAST else LAST
            if (tensor, other) in self._names:
                wish = f"{self.model.name(tensor)}_{'last' if order == LAST else 'first'}"
                permutation = TO_LAST if order == LAST else TO_FIRST
                made = self.builder.add(
                    "Transpose", [self._names[tensor, other]], wish, perm=permutation
                )
            else:
                made = self._store(tensor, order)
            self._names[tensor, order] = made
        return self._names[tensor, order]

    def real(self, tensor: int, order: str = LAST, step: np.float32 | None = None) -> str:
        """Return the name of the real numbers of a tensor.

        Args:
            tensor: Tensor of the .tflite.
            order: Order of axes.
            step: Real number of one integer step, which replaces the tensor's own; None for that.
        """
        quantization = self.quantization(tensor)
        other = FIRST if order == LAST else LAST
        is_turned = (tensor, order) not in self._names and (tensor, other) in self._names
        if self.symmetric and quantization is not None and is_turned:
            # TensorRT moves real numbers, and no integers.
            permutation = TO_LAST if order == LAST else TO_FIRST
            return self.builder.add("Transpose", [self.real(tensor, other)], perm=permutation)
        name = self.get(tensor, order)
        if quantization is None:
            return name
        axis = quantization.axis
        if order == FIRST:
            axis = TO_FIRST.index(axis)
        return self.dequantize(name, tensor, axis, step)

    def dequantize(
        self, name: str, tensor: int, axis: int = 0, step: np.float32 | None = None
    ) -> str:
        """Add the op that gives the real numbers of integers that have the scales of a tensor.

        Args:
            name: Name of the integers in the .onnx.
            tensor: Tensor of the .tflite.
            axis: Axis of the channels.
            step: Real number of one integer step, which replaces the tensor's own; None for that.
        """
        scale, point = self.scale_and_point(tensor)
        if step is not None:
            scale = self.builder.store(np.array(step, np.float32), "scale")
        wish = f"{self.model.name(tensor)}_real"
        return self.builder.add("DequantizeLinear", [name, scale, *point], wish, axis=axis)

    def scale_and_point(self, tensor: int) -> tuple[str, list[str]]:
        """Return the names of the scales and of the zero points of a quantized tensor."""
        quantization = self.quantization(tensor)
        assert quantization is not None
        scales, points = quantization.scales, quantization.points
        if self.dtype(tensor) == "int32":
            points_of: list[str] = []
        else:
            stored = self.stored_type(tensor)
            kind = "int8" if stored in ("int4", "int2") or self.is_weight(tensor) else stored
            shift = 128 if kind == "uint8" and self.dtype(tensor) == "int8" else 0
            values = (points + shift).astype(kind)
            if len(scales) == 1:
                values = values.reshape(())
            points_of = [self.builder.store(values, "zero_point")]
        if len(scales) == 1:
            scales = scales.reshape(())
        return self.builder.store(scales, "scale"), points_of

    def is_weight(self, tensor: int) -> bool:
        """Whether a tensor is stored with a scale for each channel or in fewer bits: as int8."""
        return self._scales(tensor) > 1 or self.dtype(tensor) in ("int4", "int2")

    def give(self, tensor: int, real: str, order: str = LAST, activation: int = 0) -> None:
        """Let real numbers become a tensor: bounded by an activation, and quantized if it is.

        Args:
            tensor: Tensor of the .tflite.
            real: Name of its real numbers in the .onnx.
            order: Their order of axes.
            activation: Number of the activation that the op of TFLite contains.

        Raises:
            ConversionError: The activation is none that kedge writes.
        """
        name = _NAMES.get(activation, "NONE")
        if name == "TANH":
            real = self.builder.add("Tanh", [real])
        elif name in BOUNDS:
            real = self.bound(tensor, real, *BOUNDS[name])
        elif name != "NONE":
            raise ConversionError(
                f"{self.model.name(tensor)!r} has the activation {name} inside of an op, which "
                "kedge does not write as ONNX",
                "Build the model without it.",
            )
        self.set(tensor, self.quantize(tensor, real), order)

    def give_reshaped(
        self, tensor: int, real: str, shape: str, order: str, activation: int = 0
    ) -> None:
        """Let real numbers become a tensor that has another shape.

        The integers get that shape, which runtimes join best; in a symmetric file the real numbers.

        Args:
            tensor: Tensor of the .tflite.
            real: Name of its real numbers in the .onnx.
            shape: Name of the stored shape of the tensor.
            order: Order of axes of the real numbers.
            activation: Number of the activation that the op of TFLite contains.
        """
        if self.symmetric:
            real = self.builder.add("Reshape", [real, shape])
            self.give(tensor, real, LAST, activation)
            return
        self.give(tensor, real, order, activation)
        self.set(tensor, self.builder.add("Reshape", [self.get(tensor, order), shape]))

    def quantize(self, tensor: int, real: str) -> str:
        """Return the name of a tensor as it is stored, made of its real numbers."""
        if self.quantization(tensor) is None:
            return real
        scale, point = self.scale_and_point(tensor)
        return self.builder.add("QuantizeLinear", [real, scale, *point], self.model.name(tensor))

    def bound(self, tensor: int, real: str, low: float, high: float) -> str:
        """Bound real numbers, unless the integers that they become have these bounds anyway."""
        quantization = self.quantization(tensor)
        if quantization is not None:
            limits = np.iinfo(self.dtype(tensor))
            scale, point = float(quantization.scales[0]), int(quantization.points[0])
            low = -np.inf if (limits.min - point) * scale >= low - scale / 2 else low
            high = np.inf if (limits.max - point) * scale <= high + scale / 2 else high
        if (low, high) == (0.0, np.inf):
            return self.builder.add("Relu", [real], self._name_of_real(tensor))
        if (low, high) == (-np.inf, np.inf):
            return real
        ends = ["" if np.isinf(end) else self.builder.store(np.array(end, np.float32), "bound")
                for end in (low, high)]  # fmt: skip
        return self.builder.add("Clip", [real, *ends], self._name_of_real(tensor))

    def _name_of_real(self, tensor: int) -> str:
        """Return the name of a tensor for its real numbers; "" where its integers have it."""
        return self.model.name(tensor) if self.quantization(tensor) is None else ""

    def same_scales(self, *tensors: int) -> bool:
        """Whether tensors stand for the same numbers by the same integers, or are not quantized."""
        several = [self.quantization(tensor) for tensor in tensors]
        if None in several:
            return all(quantization is None for quantization in several)
        pairs = {(q.scales.tobytes(), q.points.tobytes()) for q in several if q is not None}
        return len(pairs) == 1 and len({self.dtype(tensor) for tensor in tensors}) == 1

    def _scales(self, tensor: int) -> int:
        quantization = self.quantization(tensor)
        return 0 if quantization is None else len(quantization.scales)

    def _store(self, tensor: int, order: str) -> str:
        values = self.constant(tensor)
        if values is None:
            raise ConversionError(
                f"{self.model.name(tensor)!r} is taken before anything gives it",
                "The file is damaged: convert the model again.",
            )
        values = self._stored_values(tensor, values.reshape(self.shape(tensor)))
        if order == FIRST:
            values = values.transpose(TO_FIRST)
        return self.builder.store(values, self.model.name(tensor))

    def _stored_values(self, tensor: int, values: Array) -> Array:
        """Stored values in the type and the scales that they have in the .onnx."""
        of_file, quantization = self.file_quantization(tensor), self.quantization(tensor)
        if of_file is None or quantization is None or self.is_weight(tensor):
            return values
        if self.symmetric and self.dtype(tensor) in ("int8", "uint8"):
            real = (values.astype(np.float32) - of_file.points[0]) * of_file.scales[0]
            steps: Array = np.round(real / quantization.scales[0])
            return steps.clip(-127, 127).astype(np.int8)
        if self.dtype(tensor) == "int8":
            shifted: Array = (values.astype(np.int16) + 128).astype(np.uint8)
            return shifted
        return values
