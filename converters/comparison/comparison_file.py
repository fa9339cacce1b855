"""A comparison as plain data and as comparison.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from converters import durable
from converters.comparison.comparison import RecipeComparison, RecipeRow
from converters.comparison.gain import gain_note
from converters.data.task import ACCURACY, SEVERAL
from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.judge.metric import MetricScore
from converters.judge.paired import worst
from converters.judge.score import FILE, ORIGINAL, Score
from converters.measure import FileFigures, figures_from_plain

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
        "weight_bytes": first.source_weight_bytes,
        **dict.fromkeys(_COSTS),
        **dict.fromkeys(_LATENCY),
        "refused": "",
        "notes": [],
    }
    floats = next((r.latency for r in comparison.rows if _is_float(r)), None)
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
        "measured_at": _measured_at(comparison),
        "rows": [original, *(_row(row, floats, comparison.rows) for row in comparison.rows)],
    }


_COSTS = (
    "compressed_bytes",
    "parameters",
    "macs",
    "uncounted",
    "peak_tensor_bytes",
    "sparsity",
    "distinct_per_channel",
)

_LATENCY = (
    "latency_us",
    "latency_interval_us",
    "latency_verdict",
    "latency_ratio",
    "latency_ratio_interval",
)


@dataclass(frozen=True)
class EarlierComparison:
    """What an earlier comparison.json in a folder says; empty where there is none."""

    measured_on: str = ""
    """Place where its latencies were measured, in words; "" where they were not."""
    measured_at: str = ""
    """Time of that (UTC)."""
    latencies: Mapping[tuple[str, str], FileFigures] = field(default_factory=dict)
    """Name of a row and digest of its .tflite to its figures."""
    refusals: Mapping[str, str] = field(default_factory=dict)
    """Digest of a request to the reason why it was refused, and what to do."""

    def latency(self, name: str, sha256: str, place: str) -> FileFigures | None:
        """Return the figures of a file at a place; None where it was not measured there.

        Args:
            name: Name of its row.
            sha256: Digest of the .tflite.
            place: Place, in words.
        """
        if self.measured_on != place:
            return None
        return self.latencies.get((name, sha256))

    def raise_refusal(self, request_sha256: str) -> None:
        """Refuse a request that was refused before.

        Args:
            request_sha256: Digest of all that decides it; "" where that is not known.

        Raises:
            ConversionError: It was refused: its model, data, recipe and packages are the same.
        """
        refusal = self.refusals.get(request_sha256) if request_sha256 else None
        if refusal is not None:
            message, _, hint = refusal.rpartition("; ")
            raise ConversionError(message, hint)


def read_earlier_comparison(folder: Path) -> EarlierComparison:
    """Read comparison.json; what is not there, is damaged or is older counts as empty."""
    try:
        plain = json.loads((folder / COMPARISON_NAME).read_text(encoding="utf-8"))
        rows = plain["rows"][1:]
        return EarlierComparison(
            str(plain["measured_on"] or ""),
            str(plain["measured_at"] or ""),
            {
                (row["name"], row["model_sha256"]): figures_from_plain(row["figures"])
                for row in rows
                if row["figures"]
            },
            {row["request_sha256"]: row["refused"] for row in rows if row["request_sha256"]},
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return EarlierComparison()


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


def _row(row: RecipeRow, floats: FileFigures | None, rows: Sequence[RecipeRow]) -> dict[str, Any]:
    conversion = row.conversion
    gain = gain_note(row, rows)
    cost = asdict(conversion.cost) if conversion and conversion.cost else {}
    return {
        "name": row.name,
        "scores": _scores(conversion, FILE) if conversion else {},
        "drops": _drops(conversion) if conversion else {},
        "outputs": _outputs(conversion, FILE) if conversion else {},
        "file_bytes": conversion.model_bytes if conversion else None,
        "weight_bytes": None,
        **{name: cost.get(name) for name in _COSTS},
        **_latency(row.latency, floats),
        "refused": row.refused,
        "notes": [*(conversion.warnings if conversion else ()), *([gain] if gain else [])],
        "model_sha256": conversion.model_sha256 if conversion else None,
        "figures": asdict(row.latency) if row.latency else None,
        "request_sha256": row.request_sha256,
    }


def _latency(figures: FileFigures | None, floats: FileFigures | None) -> dict[str, Any]:
    if figures is None:
        return dict.fromkeys(_LATENCY)
    time = figures.latency_us
    plain: dict[str, Any] = {
        **dict.fromkeys(_LATENCY),
        "latency_us": time.value,
        "latency_interval_us": [time.low, time.high],
        "latency_verdict": figures.verdict,
    }
    if floats is not None and floats.latency_us.value:
        base = floats.latency_us
        plain["latency_ratio"] = time.value / base.value
        if figures is not floats and base.low:
            plain["latency_ratio_interval"] = [time.low / base.high, time.high / base.low]
    return plain


def _measured_at(comparison: RecipeComparison) -> str | None:
    if not any(row.latency for row in comparison.rows):
        return None
    now = datetime.now(timezone.utc)
    return comparison.measured_at or now.isoformat(" ", timespec="seconds").replace("+00:00", "")


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
