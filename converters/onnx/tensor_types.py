"""Types of the tensors of an .onnx, by the numbers of its format."""

from __future__ import annotations

#: Number of a type in ONNX's `TensorProto.DataType` to NumPy's name of it, or ONNX's own.
DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
    17: "float8e4m3fn",
    18: "float8e4m3fnuz",
    19: "float8e5m2",
    20: "float8e5m2fnuz",
    21: "uint4",
    22: "int4",
    23: "float4e2m1",
    24: "float8e8m0",
    25: "uint2",
    26: "int2",
}
_BITS = {"string": 0, "bool": 8, "complex64": 64, "complex128": 128, "bfloat16": 16}


def bits_of(dtype: str) -> int:
    """Return the number of bits of one value; 0 for a type without a fixed size."""
    if dtype in _BITS:
        return _BITS[dtype]
    if dtype.startswith("float8"):
        return 8
    if dtype.startswith("float4"):
        return 4
    digits = "".join(filter(str.isdigit, dtype))
    return int(digits or 0)


def tensor_bytes(shape: tuple[int, ...], dtype: str) -> int:
    """Return the size of a tensor's values; 0 where an axis is dynamic."""
    count = 1
    for axis in shape:
        count *= max(0, axis)
    return (count * bits_of(dtype) + 7) // 8
