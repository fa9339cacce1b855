"""Where the values of constant tensors lie in a .tflite, so that two files can be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from converters.model_file import StoredTensor
from converters.tflite.reader import read_model

_DTYPES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")
}
#: Place of `data` in the table of a buffer.
_DATA_FIELD = 4


def stored_tensors(path: Path) -> tuple[StoredTensor, ...]:
    """Return the constant tensors of a file, each stored value once, in the order of the file.

    Args:
        path: Any file; nothing in it is trusted.

    Raises:
        ConversionError: The path holds no .tflite, or one that is damaged or cut off.
    """
    read_model(path)  # refuses every offset that leads out of the file
    content = path.read_bytes()
    model = schema.Model.GetRootAs(content, 0)
    tensors: dict[int, StoredTensor] = {}
    for graph in (model.Subgraphs(i) for i in range(model.SubgraphsLength())):
        for tensor in (graph.Tensors(i) for i in range(graph.TensorsLength())):
            offset, size = _place_of(model.Buffers(tensor.Buffer()))
            if size and 0 <= offset <= len(content) - size:
                name = (tensor.Name() or b"").decode("utf-8", "replace")
                shape = tuple(tensor.Shape(i) for i in range(tensor.ShapeLength()))
                stored = StoredTensor(name, _DTYPES[tensor.Type()], shape, offset, size)
                tensors.setdefault(offset, stored)
    return tuple(tensors[offset] for offset in sorted(tensors))


def _place_of(buffer: Any) -> tuple[int, int]:
    """Return offset and size of the values of a buffer; size 0 for none."""
    if buffer.Offset() > 1:  # behind the FlatBuffer
        return int(buffer.Offset()), int(buffer.Size())
    field = buffer._tab.Offset(_DATA_FIELD)
    return (int(buffer._tab.Vector(field)), int(buffer.DataLength())) if field else (0, 0)
