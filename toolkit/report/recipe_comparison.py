"""A comparison of recipes in tables: how well each file does, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.report import words
from toolkit.report.conversion import interval_cell, macs_cell
from toolkit.report.tables import Block, Table

_ACCURACY_HEADS = (
    "recipe",
    "train %",
    "valid. %",
    "test % (95 %)",
    "drop, points (95 %)",
    "precision",
    "recall",
    "F1",
)
_METRIC_HEADS = ("recipe", "train", "validation", "test (95 %)", "loss in % (95 %)")
_OUTPUT_HEADS = ("recipe", "output", "metric", "train", "validation", "test (95 %)", "drop, %")
_COST_HEADS = (
    "recipe",
    "file",
    "compressed",
    "parameters",
    "MACs",
    "peak tensors",
)
_LATENCY_HEADS = ("recipe", "latency", "interval (97 %)", "ratio", "verdict")
_ACCURACY_DETAILS = ("recall", "precision", "F1", "train %", "valid. %")
_METRIC_DETAILS = ("train", "validation")
_COST_DETAILS = ("peak tensors", "compressed", "parameters")
_LATENCY_DETAILS = ("interval (97 %)",)
_NONE = "–"


def describe_recipe_comparison(plain: dict[str, Any], path: Path) -> list[Block]:
    """Return a comparison of recipes for a person.

    Args:
        plain: Contents of comparison.json.
        path: File that they are written to.
    """
    rows = [row for row in plain["rows"] if not row["refused"]]
    blocks: list[Block] = [
        judgement_table(plain),
        Table("Cost", _COST_HEADS, [_cost_cells(row) for row in rows], _COST_DETAILS),
    ]
    if plain["measured_on"]:
        title = f"Latency on {plain['measured_on']}, one thread"
        if any(row["latency_ratio"] is not None for row in rows):
            title += "; ratio to float32"
        cells = [_latency_cells(row) for row in rows[1:]]
        blocks.append(Table(title, _LATENCY_HEADS, cells, _LATENCY_DETAILS))
    original = rows[0]
    if original["weight_bytes"] is not None:
        given = words.model_size(original["file_bytes"], original["weight_bytes"])
        blocks.append(f"original: {given}")
    blocks += [f"no {row['name']}: {row['refused']}" for row in plain["rows"] if row["refused"]]
    if plain["chosen"]:
        blocks.append(f"chosen: {plain['chosen']} ({path.parent / plain['chosen']})")
    elif plain["max_drop"] is not None:
        blocks.append("chosen: none, every recipe loses more than is allowed")
    if plain["max_drop"] is not None:
        verdict = "held, at most" if plain["held"] else "not held, more than"
        blocks.append(f"--max-drop: {verdict} {plain['max_drop']:.2%} lost on the test samples")
    return [*blocks, f"written: {path}"]


def notes_of_recipes(plain: dict[str, Any]) -> list[str]:
    """Return the notes of all rows, each once; a note of some rows only begins with their names.

    Args:
        plain: Contents of comparison.json.
    """
    rows = [row for row in plain["rows"][1:] if not row["refused"]]
    names: dict[str, list[str]] = {}
    for row in rows:
        for note in dict.fromkeys(row["notes"]):
            names.setdefault(note, []).append(row["name"])
    return [
        note
        if len(of_note) == len(rows) or note.startswith(of_note[0])
        else f"{', '.join(of_note)}: {note}"
        for note, of_note in names.items()
    ]


def judgement_table(plain: dict[str, Any]) -> Table:
    """Return the table of how well the file of each recipe does; by the metric of the task.

    Args:
        plain: Contents of comparison.json.
    """
    rows = [row for row in plain["rows"] if not row["refused"]]
    if plain["metric"] == "accuracy":
        cells = [_accuracy_cells(row) for row in rows]
        return Table("Accuracy", _ACCURACY_HEADS, cells, _ACCURACY_DETAILS)
    if rows[0].get("outputs"):
        cells = [
            [row["name"], name, of_output["metric"], *_metric_cells({**row, **of_output})[1:]]
            for row in rows
            for name, of_output in row["outputs"].items()
        ]
        return Table("Outputs", _OUTPUT_HEADS, cells, _METRIC_DETAILS)
    cells = [_metric_cells(row) for row in rows]
    return Table(plain["metric"], _METRIC_HEADS, cells, _METRIC_DETAILS)


def _accuracy_cells(row: dict[str, Any]) -> list[str]:
    scores = row["scores"]
    if not scores:
        return [row["name"], *[_NONE] * 7]
    shares = [
        f"{100 * scores[split]['accuracy']:.2f}" if split in scores else _NONE
        for split in ("train", "validation", "test")
    ]
    test = scores["test"]
    low, high = test["interval"]
    shares[2] += f" ({100 * low:.2f}–{100 * high:.2f})"
    means = [f"{test[name]:.4f}" for name in ("precision", "recall", "f1")]
    return [row["name"], *shares, _drop_cell(row), *means]


def _metric_cells(row: dict[str, Any]) -> list[str]:
    scores = row["scores"]
    if not scores:
        return [row["name"], *[_NONE] * 4]
    values = [
        f"{scores[split]['value']:.4g}" if split in scores else _NONE
        for split in ("train", "validation", "test")
    ]
    low, high = scores["test"]["interval"]
    values[2] += f" ({low:.4g}–{high:.4g})"
    return [row["name"], *values, _drop_cell(row)]


def _drop_cell(row: dict[str, Any]) -> str:
    drop = row["drops"].get("test")
    if drop is None:
        return _NONE
    return f"{100 * drop['drop']:.2f} ({interval_cell(drop['interval'])})"


def _cost_cells(row: dict[str, Any]) -> list[str]:
    def cell(name: str, form: Any) -> str:
        return _NONE if row[name] is None else str(form(row[name]))

    return [
        row["name"],
        cell("file_bytes", words.size),
        cell("compressed_bytes", words.size),
        cell("parameters", "{:,}".format),
        _NONE if row["macs"] is None else macs_cell(row["macs"], row.get("uncounted") or ()),
        cell("peak_tensor_bytes", words.size),
    ]


def _latency_cells(row: dict[str, Any]) -> list[str]:
    if row["latency_us"] is None:
        return [row["name"], *[_NONE] * 4]
    low, high = (words.duration(bound) for bound in row["latency_interval_us"])
    ratio = _NONE if row["latency_ratio"] is None else f"{row['latency_ratio']:.2f}"
    if row["latency_ratio_interval"] is not None:
        ratio += " ({:.2f}–{:.2f})".format(*row["latency_ratio_interval"])
    latency = words.duration(row["latency_us"])
    return [row["name"], latency, f"{low} to {high}", ratio, row["latency_verdict"]]
