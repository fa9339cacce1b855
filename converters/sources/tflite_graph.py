"""The graph of a .tflite, compared with what the file itself computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.fields import select_field
from converters.graph.node import Graph
from converters.graph.tflite.read import FileGraph, read_tflite_graph
from converters.sources.import_check import Inner, check_import
from converters.sources.inputs_outputs import ModelTensor, field_names
from converters.tflite.run import run_inside
from converters.tflite.unpacked import UnpackedModel

Array = npt.NDArray[Any]


def read_checked_graph(
    path: Path,
    content: bytes,
    inputs_outputs: tuple[Sequence[ModelTensor], Sequence[ModelTensor]],
    predict: Callable[[Array], Array],
) -> Graph:
    """Read a file as a graph, and run both on the same samples.

    Args:
        path: The file, for messages.
        content: Its content, whose batch is one.
        inputs_outputs: Inputs and outputs of the model, in the order of the file.
        predict: Function of a batch (n, *shape) to what the file answers; with a field for each of
            several inputs or outputs.

    Raises:
        ConversionError: An operator cannot be represented, or the graph gives other answers.
    """
    inputs, outputs = inputs_outputs
    names = [tensor.name for tensor in inputs]
    file = read_tflite_graph(UnpackedModel(content), str(path), names)

    def read_inner() -> Inner:
        return Inner(file.unfolded, lambda batch: _values_inside(content, file, inputs, batch))

    check_import(path, file.graph, inputs, outputs, predict, read_inner)
    return file.graph


def _values_inside(
    content: bytes, file: FileGraph, inputs: Sequence[ModelTensor], batch: Array
) -> dict[str, Array]:
    """Outputs of the nodes of an unfolded graph, as the file computes them."""
    model, nodes = UnpackedModel(content), file.unfolded.by_name()
    fields = field_names(inputs) or ("",)
    arrays = {
        model.name(tensor): select_field(batch, field)
        for tensor, field in zip(model.inputs, fields, strict=True)
    }
    positions = list(file.tensors.values())
    samples = list(run_inside(content, [arrays], positions))
    return {
        name: np.stack([sample[place].reshape(nodes[name].shape) for sample in samples])
        for place, name in enumerate(file.tensors)
    }
