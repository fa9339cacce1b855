"""Figures of each operator of a model file, as every format counts them."""

from __future__ import annotations

from dataclasses import dataclass

#: Kinds of arithmetic of an operator.
INTEGER = "integer"
FLOAT = "float"
FLOAT_BY_INTEGER_WEIGHTS = "float, integer weights"
CONVERSION = "conversion"
OTHER = "other"

#: Ops that only change the type of a tensor.
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE", "CAST", "QuantizeLinear", "DequantizeLinear", "Cast")
_FLOATS = ("float32", "float16", "float64", "bfloat16")
_WEIGHT_INTEGERS = ("int2", "int4", "uint4", "int8", "uint8", "int16", "uint16")


@dataclass(frozen=True)
class OperatorTensorUse:
    """A tensor that an operator reads or writes."""

    name: str
    """Name in the file; may be empty."""
    shape: tuple[int, ...]
    """Sizes of its axes; 1 where an axis is dynamic."""
    dtype: str
    """Type, such as "int8"."""
    is_constant: bool
    """Whether the file stores its values."""
    bytes: int
    """Size of its values; 0 where the type has no fixed size."""


@dataclass(frozen=True)
class OperatorFigures:
    """One operator of a file, and its work."""

    subgraph: int
    """Number of the subgraph, from 0."""
    number: int
    """Position in the subgraph, from 0."""
    op: str
    """Name of the op in its format, or the custom op's own."""
    version: int
    """Version of the op, as the file claims."""
    layer: str
    """Name of the layer that it belongs to, as far as the file tells; may be empty."""
    inputs: tuple[OperatorTensorUse, ...]
    """Inputs that are present, in the order of the op."""
    outputs: tuple[OperatorTensorUse, ...]
    """Outputs, in the order of the op."""
    macs: int
    """Multiply-accumulates; 0 for an op without products of matrices."""
    bytes_read: int
    """Size of all inputs; of a table of which rows are picked the size of the picked rows."""
    bytes_written: int
    """Size of all outputs."""
    parameters: int
    """Number of stored values that were learned."""

    @property
    def arithmetic(self) -> str:
        """Kind of arithmetic, such as `INTEGER`.

        `OTHER` is that of operators on shapes, indices and truth values.
        """
        computed = [t for t in (*self.inputs, *self.outputs) if not t.is_constant]
        if self.op in _CONVERSIONS:
            return CONVERSION
        if any(tensor.dtype in _FLOATS for tensor in computed):
            weights = (t for t in self.inputs if t.is_constant and t.dtype in _WEIGHT_INTEGERS)
            return FLOAT_BY_INTEGER_WEIGHTS if self.macs and any(weights) else FLOAT
        is_quantized = any(tensor.dtype in _WEIGHT_INTEGERS for tensor in computed)
        return INTEGER if is_quantized else OTHER


@dataclass(frozen=True)
class ModelFigures:
    """Operators of a file with their figures, and what the file costs in all."""

    operators: tuple[OperatorFigures, ...]
    """Operators of every subgraph, in the order in which they run."""
    parameters: int
    """Numbers that were learned, each stored one once."""
    macs: int
    """Multiply-accumulates of one inference; the body of a loop counts as often as it runs."""
    uncounted: tuple[str, ...]
    """Ops that may multiply too and are not in `macs`."""
    peak_tensor_bytes: int
    """The most bytes of activations that are held at one time, when each is freed after its last
    use."""
    unused_subgraphs: tuple[int, ...] = ()
    """Positions of subgraphs that no operator of the first one runs."""

    @property
    def count(self) -> int:
        """Number of operators that an inference can run, each counted once."""
        return sum(operator.subgraph not in self.unused_subgraphs for operator in self.operators)

    @property
    def main_operators(self) -> tuple[OperatorFigures, ...]:
        """Operators of the first subgraph."""
        return tuple(operator for operator in self.operators if operator.subgraph == 0)


@dataclass(frozen=True)
class QuantizationCoverage:
    """Operators that compute with integers, and those that do not."""

    integer_operators: int
    """Number of operators that compute with integers."""
    float_operators: tuple[OperatorFigures, ...]
    """Operators that compute with floats, those with most work first."""
    float_share_of_macs: float
    """Share of the multiply-accumulates that are computed with floats, 0-1."""


def quantization_coverage(figures: ModelFigures) -> QuantizationCoverage:
    """Count the operators of a file by their arithmetic; conversions and others do not count."""
    floats = [
        operator
        for operator in figures.operators
        if operator.arithmetic in (FLOAT, FLOAT_BY_INTEGER_WEIGHTS)
    ]
    total = sum(operator.macs for operator in figures.operators)
    return QuantizationCoverage(
        integer_operators=sum(each.arithmetic == INTEGER for each in figures.operators),
        float_operators=tuple(sorted(floats, key=lambda operator: -operator.macs)),
        float_share_of_macs=sum(each.macs for each in floats) / total if total else 0.0,
    )
