"""A conversion that was kept: its plain forms and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.report import words
from toolkit.report.conversion import describe_budget, describe_conversion
from toolkit.report.file_quality import FileQuality, quality_of
from toolkit.report.tables import Block, Table

if TYPE_CHECKING:
    from toolkit.results.conversions import StoredConversion

_NONE = "–"


def plain_conversion_line(entry: StoredConversion) -> dict[str, Any]:
    """Return what a list says about a conversion, for a program."""
    conversion, quality = entry.conversion, quality_of(entry.conversion)
    low, high = (quality.interval if quality else None) or (None, None)
    return {
        "id": str(entry.entry),
        "converted_at": entry.converted_at,
        "recipe": conversion.recipe_label,
        "model": str(conversion.model),
        "model_sha256": conversion.model_sha256,
        "model_bytes": conversion.model_bytes,
        "source": conversion.source,
        "source_sha256": conversion.source_sha256,
        "metric": None if quality is None else quality.metric,
        "value": None if quality is None else quality.value,
        "low": low,
        "high": high,
        "drop": None if quality is None else quality.drop,
        "macs": None if conversion.cost is None else conversion.cost.macs,
        "evidence": str(conversion.model.with_name("conversion.json")),
        "note": entry.note,
        "tags": entry.tags,
    }


def plain_stored_conversion(entry: StoredConversion) -> dict[str, Any]:
    """Return all that was kept of a conversion, for a program."""
    from converters.evidence.conversion import plain_evidence

    return {**plain_conversion_line(entry), "conversion": plain_evidence(entry.conversion)}


def conversion_cells(entry: StoredConversion) -> list[str]:
    """Return the cells of a list: number, date, recipe and file, source, accuracy, size."""
    conversion = entry.conversion
    return [
        str(entry.entry),
        entry.converted_at[:16].replace("T", " "),
        f"{conversion.recipe_label} {conversion.model_sha256[:8]}",
        conversion.source.rpartition("/")[2],
        quality_cell(quality_of(conversion)),
        words.size(conversion.model_bytes),
    ]


def quality_cell(quality: FileQuality | None) -> str:
    """Write a figure with its interval; a dash where there is none."""
    if quality is None:
        return _NONE
    is_share = quality.metric == "accuracy"
    cell = words.percent(quality.value) if is_share else f"{quality.metric} {quality.value:.4g}"
    if quality.interval is None:
        return cell
    low, high = quality.interval
    return cell + (
        f" ({100 * low:.1f} to {100 * high:.1f})" if is_share else f" ({low:.4g} to {high:.4g})"
    )


def describe_stored_conversion(entry: StoredConversion) -> list[Block]:
    """Return a conversion for a person."""
    conversion = entry.conversion
    rows = [
        ["model", f"{conversion.model} (sha256 {conversion.model_sha256})"],
        ["source", f"{conversion.source} (sha256 {conversion.source_sha256})"],
        ["data", f"{conversion.data} (sha256 {conversion.data_sha256})"],
        ["recipe", conversion.recipe_label],
        ["test samples", quality_cell(quality_of(conversion))],
        *label_rows(entry.note, entry.tags),
    ]
    title = f"conversion {entry.entry}, {entry.converted_at}"
    return [
        *describe_conversion(conversion),
        *describe_budget(conversion),
        "",
        Table(title, ["", "value"], rows),
    ]


def label_rows(note: str, tags: tuple[str, ...]) -> list[list[str]]:
    """Return rows with a note and tags, where there are any."""
    rows = [["note", note]] if note else []
    return [*rows, ["tags", ", ".join(tags)]] if tags else rows
