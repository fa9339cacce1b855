"""Writes a graph as a file that is only measured: before anything is trained."""

from __future__ import annotations

from pathlib import Path

from converters.data.dataset import TRAIN
from converters.draft.draft import FLOAT32, W8A8, Draft, Materials
from converters.draft.emit import emit
from converters.errors import ConversionError
from converters.graph.build import build_model
from converters.graph.node import Graph
from converters.progress import ignore

#: Ranges do not change how long a file takes: so few samples set them.
_SAMPLES = 2


def write_trial(graph: Graph, path: Path, materials: Materials) -> None:
    """Write a .tflite of 8 bits, or of floats where it has a layer without an int8 kernel.

    Args:
        graph: Of whatever weights.
        path: The file to write.
        materials: With the split "train".

    Raises:
        ConversionError: The converter refuses the model.
    """
    model = build_model(graph)
    function = materials.source.function_of(lambda x: model(x, training=False))
    samples = materials.samples[TRAIN]
    few = samples.subset(slice(_SAMPLES))
    try:
        emit(Draft(function, model, numbers=W8A8, calibration=few), path, ignore)
    except ConversionError:
        emit(Draft(function, model, numbers=FLOAT32), path, ignore)
