"""Graphs as files that are only measured: before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from converters.data.dataset import TRAIN
from converters.draft.draft import W8A8, Draft, Materials
from converters.draft.emit import emit
from converters.errors import ConversionError
from converters.graph.node import Graph
from converters.measure import latencies_us
from converters.progress import Progress, ignore

#: Ranges do not change how long a file takes: so few samples set them.
_SAMPLES = 2


def write_trial(graph: Graph, path: Path, materials: Materials) -> None:
    """Write a .tflite of 8 bits, or of floats where it has a layer without an int8 kernel.

    Args:
        graph: Graph of any weights: they do not change the latency.
        path: File to write.
        materials: Materials with the split "train".

    Raises:
        ConversionError: The converter refuses the model.
    """
    few = materials.samples[TRAIN].subset(slice(_SAMPLES))
    draft = Draft(materials.source, graph)
    try:
        emit(replace(draft, numbers=W8A8, calibration=few), path, ignore)
    except ConversionError:
        emit(draft, path, ignore)


def measure_before_and_after(before: Graph, after: Graph, materials: Materials) -> list[float]:
    """Measure the latency of a graph before and after a change.

    Args:
        before: Graph before the change.
        after: Graph after it.
        materials: Materials with the split "train", and the function that measures.

    Returns:
        Both latencies, microseconds; empty where nothing is measured.
    """
    if materials.measure is None:
        return []
    with TemporaryDirectory(prefix="kedge-trial-") as folder:
        paths = [Path(folder) / name for name in ("before.tflite", "after.tflite")]
        for path, trial in zip(paths, (before, after), strict=True):
            write_trial(trial, path, materials)
        materials.report(Progress("measure with and without", 0, len(paths)))
        return latencies_us(materials.measure, paths)
