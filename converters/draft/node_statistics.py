"""Ranges and moments of the outputs of nodes, measured on real samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import Samples
from converters.data.fields import to_keras_inputs
from converters.data.split import balanced_choice
from converters.graph.build import build_model
from converters.graph.node import Graph
from converters.graph.unfold import Moments
from converters.progress import Progress, Report

#: Number of samples that tell enough of a range or a mean; number of samples in a batch.
_SAMPLES, _BATCH = 512, 32


def measure_node_ranges(
    graph: Graph, names: tuple[str, ...], samples: Samples, seed: int, report: Report
) -> dict[str, tuple[float, float]]:
    """Measure the lowest and highest numbers that nodes give, averaged over batches.

    Args:
        graph: A float model.
        names: Names of the nodes.
        samples: Samples of every class; some of them are used.
        seed: Seed of the choice of samples.
        report: Function that gets the progress.
    """
    bounds_of: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for batch in _batches(graph, names, samples, seed, report):
        for name, array in batch.items():
            bounds_of[name].append((float(array.min()), float(array.max())))
    means = {name: np.mean(bounds, axis=0) for name, bounds in bounds_of.items()}
    return {name: (float(low), float(high)) for name, (low, high) in means.items()}


def measure_node_moments(
    graph: Graph, names: tuple[str, ...], samples: Samples, seed: int, report: Report
) -> dict[str, Moments]:
    """Measure mean and variance of each channel that nodes give.

    Args:
        graph: A float model.
        names: Names of the nodes.
        samples: Samples of every class; some of them are used.
        seed: Seed of the choice of samples.
        report: Function that gets the progress.

    Returns:
        Mean and variance by name of the node: float64, shape (channels,).
    """
    sums = {name: np.zeros((3, 1)) for name in names}
    for batch in _batches(graph, names, samples, seed, report):
        for name, array in batch.items():
            rows = array.reshape(-1, array.shape[-1]).astype(np.float64)
            count = np.full(rows.shape[1], len(rows))
            sums[name] = sums[name] + np.stack([count, rows.sum(axis=0), (rows**2).sum(axis=0)])
    return {
        name: (total / count, np.maximum(squares / count - (total / count) ** 2, 0))
        for name, (count, total, squares) in sums.items()
    }


def _batches(
    graph: Graph, names: tuple[str, ...], samples: Samples, seed: int, report: Report
) -> Iterator[dict[str, npt.NDArray[Any]]]:
    if not names:
        return
    model = build_model(replace(graph, outputs=names))
    rows = balanced_choice(samples.labels, _SAMPLES, seed)
    for start in range(0, len(rows), _BATCH):
        answers = model(
            to_keras_inputs(samples.batch(rows[start : start + _BATCH])), training=False
        )
        arrays = answers if isinstance(answers, (list, tuple)) else [answers]
        yield dict(zip(names, map(np.asarray, arrays), strict=True))
        report(Progress("measure", min(start + _BATCH, len(rows)), len(rows)))
