"""One conversion or measurement, as every tracker takes it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from converters.evidence.conversion import Conversion
from converters.judge.score import ORIGINAL
from toolkit.report.file_quality import FileQuality, quality_of
from toolkit.results.record import ResultRecord

#: Largest number of epochs of one figure.
_MOST_EPOCHS = 100_000


@dataclass(frozen=True)
class TrackedRun:
    """What is sent of one conversion or of one row of a measurement."""

    name: str
    facts: Mapping[str, str]
    """Name of each fact to its value: recipe, board, and the digests of all artifacts."""
    figures: Mapping[str, float]
    """Name of each figure to its value; `…_low` and `…_high` are the ends of its interval."""
    epochs: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Name of each figure of the training to its value in each epoch, the first one first."""


class Tracker(Protocol):
    """Writes runs for one kind of tracker."""

    def __call__(self, runs: Sequence[TrackedRun], folder: Path) -> str:
        """Write runs.

        Args:
            runs: Runs, each of which becomes one of the tracker's.
            folder: Folder for all that the tracker writes.

        Returns:
            Place of the runs and the next step, for a person.

        Raises:
            ImportError: The tracker's package is not installed.
        """


def run_of_conversion(conversion: Conversion) -> TrackedRun:
    """Return what is sent of a conversion."""
    figures: dict[str, float] = {"model_bytes": conversion.model_bytes}
    figures |= _figures_of("file", quality_of(conversion))
    figures |= _figures_of("source", quality_of(conversion, ORIGINAL))
    if conversion.cost is not None:
        figures |= {
            "macs": conversion.cost.macs,
            "parameters": conversion.cost.parameters,
            "peak_tensor_bytes": conversion.cost.peak_tensor_bytes,
            "sparsity": conversion.cost.sparsity,
        }
    facts = {
        "kind": "conversion",
        "recipe": conversion.recipe_label,
        "source": conversion.source,
        "source_sha256": conversion.source_sha256,
        "data_sha256": conversion.data_sha256,
        "model": str(conversion.model),
        "model_sha256": conversion.model_sha256,
        "seed": str(conversion.seed),
        **{f"{name}_sha256": digest for name, digest in sorted(conversion.files.items())},
        **{f"{other.name}_sha256": other.sha256 for other in conversion.other_files},
    }
    epochs: dict[str, list[float]] = {}
    for number, record in enumerate(conversion.step_records, 1):
        for name, values in record.found.items():
            if _is_figures(values):
                epochs[f"{number}_{record.kind}/{name}"] = [float(value) for value in values]
    return TrackedRun(conversion.recipe_label, facts, figures, epochs)


def run_of_record(record: ResultRecord) -> TrackedRun:
    """Return what is sent of one row of a measurement."""
    row, document = record.row, record.document
    low, high = row.latency.interval_us
    figures: dict[str, float] = {
        "latency_us": row.latency.median_us,
        "latency_us_low": low,
        "latency_us_high": high,
        **{f"latency_p{p}_us": v for p, v in row.latency.percentiles_us.items() if v is not None},
        "peak_rss_bytes": max(run.run.peak_rss_bytes for run in row.runs),
    }
    if document.get("model_bytes"):
        figures["model_bytes"] = document["model_bytes"]
    accuracy = document.get("accuracy")
    if accuracy:
        name = "board_" + str(accuracy.get("metric", "accuracy"))
        figures[name] = accuracy["board"]
        figures[f"{name}_low"], figures[f"{name}_high"] = accuracy["board_interval"]
    facts = {
        "kind": "measurement",
        "target": record.target,
        "board": str(document["facts"].get("model", "")),
        "runtime": record.runtime,
        "threads": str(row.threads),
        "streams": str(row.streams),
        "verdict": row.verdict.kind,
        "outputs": str(document["parity"]["verdict"]),
        "recipe": str(document.get("recipe", "")),
        "model": record.model,
        "model_sha256": record.model_sha256,
    }
    name = f"{Path(record.model).name} on {record.target}"
    finite = {name: float(value) for name, value in figures.items() if math.isfinite(value)}
    return TrackedRun(name, facts, finite)


def _figures_of(subject: str, quality: FileQuality | None) -> dict[str, float]:
    """Figure of a model on the test samples, with its interval, and its loss."""
    if quality is None:
        return {}
    name = f"{subject}_{quality.metric}"
    figures = {name: quality.value}
    if quality.interval is not None:
        figures[f"{name}_low"], figures[f"{name}_high"] = quality.interval
    if quality.drop is not None:
        figures["drop"] = quality.drop
    if quality.drop_interval is not None:
        figures["drop_low"], figures["drop_high"] = quality.drop_interval
    return figures


def _is_figures(values: Any) -> bool:
    """Whether a finding is a list with a number for each epoch."""
    return (
        isinstance(values, (list, tuple))
        and 0 < len(values) <= _MOST_EPOCHS
        and all(isinstance(value, (int, float)) and math.isfinite(value) for value in values)
    )
