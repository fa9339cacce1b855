"""A comparison as plain data and as comparison.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from converters import durable
from converters.comparison.comparison import RecipeComparison, RecipeRow
from converters.comparison.gain import gain_note
from converters.data.task import ACCURACY, SEVERAL
from converters.evidence.conversion import Conversion
from converters.judge.metric import MetricScore
from converters.judge.paired import worst
from converters.judge.score import FILE, ORIGINAL, Score

SCHEMA = 1
COMPARISON_NAME = "comparison.json"


def plain_comparison(comparison: RecipeComparison) -> dict[str, Any]:
    """Return the content of comparison.json: shares are 0-1, every row has every column."""
    first = comparison.conversions()[0]
    original: dict[str, Any] = {
        "name": ORIGINAL,
        "scores": _scores(first, ORIGINAL),
        "drops": {},
        "outputs": _outputs(first, ORIGINAL),
        "file_bytes": first.source_bytes,
        **dict.fromkeys(_COSTS),
        "latency_us": None,
        "latency_ratio": None,
        "refused": "",
        "notes": [],
    }
    float_us = next((r.latency_us for r in comparison.rows if _is_float(r)), None)
    return {
        "schema": SCHEMA,
        "model": first.source,
        "model_sha256": first.source_sha256,
        "data": first.data,
        "data_sha256": first.data_sha256,
        "seed": first.seed,
        "metric": _metric(first),
        "splits": [asdict(split) for split in _all_splits(comparison)],
        "max_drop": comparison.max_drop,
        "chosen": comparison.chosen or None,
        "held": comparison.held,
        "reasons": list(comparison.reasons),
        "measured_on": comparison.measured_on or None,
        "rows": [original, *(_row(row, float_us, comparison.rows) for row in comparison.rows)],
    }


_COSTS = (
    "compressed_bytes",
    "parameters",
    "macs",
    "peak_tensor_bytes",
    "sparsity",
    "distinct_per_channel",
)


def write_comparison(comparison: RecipeComparison, folder: Path) -> Path:
    """Write comparison.json into a folder, whole or not at all.

    Args:
        comparison: The comparison.
        folder: An existing folder.

    Returns:
        Path of the file.

    Raises:
        HostDiskError: The disk is full or read-only.
    """
    part = folder / f".{COMPARISON_NAME}.part"
    content = json.dumps(plain_comparison(comparison), indent=2) + "\n"
    durable.write(part, content.encode())
    path = folder / COMPARISON_NAME
    with durable.translate_errors(path):
        part.replace(path)
    return path


def _row(row: RecipeRow, float_us: float | None, rows: Sequence[RecipeRow]) -> dict[str, Any]:
    conversion = row.conversion
    gain = gain_note(row, rows)
    cost = asdict(conversion.cost) if conversion and conversion.cost else {}
    ratio = None
    if row.latency_us is not None and float_us:
        ratio = row.latency_us / float_us
    return {
        "name": row.name,
        "scores": _scores(conversion, FILE) if conversion else {},
        "drops": _drops(conversion) if conversion else {},
        "outputs": _outputs(conversion, FILE) if conversion else {},
        "file_bytes": conversion.model_bytes if conversion else None,
        **{name: cost.get(name) for name in _COSTS},
        "latency_us": row.latency_us,
        "latency_ratio": ratio,
        "refused": row.refused,
        "notes": [*(conversion.warnings if conversion else ()), *([gain] if gain else [])],
    }


def _is_float(row: RecipeRow) -> bool:
    return row.conversion is not None and not row.conversion.recipe_steps


def _metric(conversion: Conversion) -> str:
    if conversion.output_figures:
        return SEVERAL
    return ACCURACY if conversion.metric is None else conversion.metric.name


def _drops(conversion: Conversion, name: str | None = None) -> dict[str, Any]:
    """Name of a split to the drop of an output, or without a name of the one that loses most."""
    drops = [drop for drop in conversion.drops if name in (None, drop.output)]
    by_split = {drop.split: worst(drops, drop.split) for drop in drops}
    return {split: {"drop": drop.fraction, **asdict(drop)} for split, drop in by_split.items()}


def _outputs(conversion: Conversion, subject: str) -> dict[str, Any]:
    """Name of each of several outputs to its figures; empty for a single output."""
    return {
        one.output: {
            "metric": one.name,
            "scores": {s.split: _plain_score(s) for s in one.scores if s.subject == subject},
            "drops": _drops(conversion, one.output) if subject == FILE else {},
        }
        for one in conversion.output_figures
    }


def _scores(conversion: Conversion, subject: str) -> dict[str, Any]:
    if conversion.output_figures:
        return {}
    scores: Sequence[Score | MetricScore] = conversion.scores
    if conversion.metric is not None:
        scores = conversion.metric.scores
    return {s.split: _plain_score(s) for s in scores if s.subject == subject}


def _plain_score(score: Score | MetricScore) -> dict[str, Any]:
    plain = asdict(score)
    if isinstance(score, Score):
        plain = {"accuracy": score.accuracy, **plain}
    del plain["subject"], plain["split"]
    return plain


def _all_splits(comparison: RecipeComparison) -> list[Any]:
    """Each split once; what one recipe reads and another does not is among them."""
    splits: dict[str, Any] = {}
    for conversion in comparison.conversions():
        for split in conversion.splits:
            splits.setdefault(split.name, split)
    return [splits[name] for name in sorted(splits)]
