"""What the stored kernels of a .tflite are: their bits, and the share of zeros in each.

The file must have gone through `converters.tflite.reader.read_model`, which refuses damaged ones.
"""

from __future__ import annotations

from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from converters.model_file import KernelFigures
from converters.tflite.subgraph import Subgraph


def kernel_figures(path: Path) -> tuple[KernelFigures, ...]:
    """Return the kernels of the first subgraph, each stored one once, in the order of their use."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    graph = Subgraph(model, 0)
    figures: dict[int, KernelFigures] = {}
    for tensor, values, _ in graph.named_kernels():
        if values.size:
            zeros = float((values == 0).mean())
            figures.setdefault(
                graph.buffer(tensor),
                KernelFigures(graph.name(tensor), graph.bits(tensor), values.size, zeros),
            )
    return tuple(figures.values())
