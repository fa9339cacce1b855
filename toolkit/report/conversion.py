"""How well a conversion does, as cells of a table: accuracy, or the figure of another task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.cli import output

if TYPE_CHECKING:
    from converters.evidence.conversion import Conversion
    from converters.judge.metric import MetricFigures
    from converters.judge.paired import Drop

ACCURACY_HEADS = (
    "recipe",
    "train %",
    "valid. %",
    "test % (95 %)",
    "drop, points (95 %)",
    "precision",
    "recall",
    "F1",
)
_METRIC_HEADS = ("recipe", "train", "validation", "test (95 %)", "worse by, % (95 %)")
_OUTPUT_HEADS = ("recipe", "output", "metric", "train", "validation", "test (95 %)", "drop, %")
_NONE = "–"


def judgement_rows(conversion: Conversion) -> list[list[str]]:
    """Of the model that was given and of the file, and the drop between them."""
    before, after, metric = conversion.float_accuracy, conversion.accuracy, conversion.metric
    rows = []
    for figures in conversion.output_figures:
        named = f"{figures.output}: {figures.name}"
        rows.append([named, *(_figure(figures, x) for x in (figures.given, figures.file))])
    if conversion.output_figures:
        held_out = str(conversion.output_figures[0].samples)
        rows.append(["held-out samples", held_out, held_out])
    if metric is not None:
        rows = [
            [metric.name, f"{metric.given:.4g}", f"{metric.file:.4g}"],
            ["held-out samples", str(metric.samples), str(metric.samples)],
        ]
    if before is not None and after is not None:
        rows = [
            ["accuracy", output.percent(before.fraction), output.percent(after.fraction)],
            ["held-out samples", str(before.samples), str(after.samples)],
        ]
    for drop in conversion.drops:
        if drop.split == "test":
            told = "drop in points" if drop.before is None else "worse by, %"
            told = f"{drop.output}: {told}" if drop.output else told
            rows.append([f"{told} (paired 95 % interval)", "", drop_cell(drop)])
    return rows


def plain_judgement(conversion: Conversion) -> dict[str, Any]:
    """The same for a program."""
    before, after, metric = conversion.float_accuracy, conversion.accuracy, conversion.metric
    if before is not None and after is not None:
        return {
            "float_accuracy": before.fraction,
            "accuracy": after.fraction,
            "samples": after.samples,
        }
    if conversion.output_figures:
        return {"outputs": {one.output: _plain_figures(one) for one in conversion.output_figures}}
    assert metric is not None
    return _plain_figures(metric)


def _figure(figures: MetricFigures, value: float) -> str:
    """Of one of several outputs."""
    return output.percent(value) if figures.name == "accuracy" else f"{value:.4g}"


def _plain_figures(metric: MetricFigures) -> dict[str, Any]:
    return {
        "metric": metric.name,
        "given": metric.given,
        "file": metric.file,
        "samples": metric.samples,
    }


def drop_cell(drop: Drop) -> str:
    """A drop in points, or in percent of the model's figure, with its interval."""
    return f"{100 * drop.fraction:.2f} ({interval(drop.interval)})"


def interval(bounds: tuple[float, float]) -> str:
    """Bounds in points or percent."""
    low, high = bounds
    return f"{100 * low:+.2f} to {100 * high:+.2f}"


def comparison_table(plain: dict[str, Any]) -> tuple[str, tuple[str, ...], list[list[str]]]:
    """Title, heads and rows of what comparison.json says of each recipe."""
    if plain["metric"] == "accuracy":
        return "Accuracy", ACCURACY_HEADS, [_accuracy_cells(row) for row in plain["rows"]]
    if plain["rows"][0].get("outputs"):
        cells = [
            [row["name"], name, of_output["metric"], *_metric_cells({**row, **of_output})[1:]]
            for row in plain["rows"]
            for name, of_output in row["outputs"].items()
        ]
        refused = [[row["name"], *[_NONE] * 6] for row in plain["rows"] if not row["outputs"]]
        return "Outputs", _OUTPUT_HEADS, cells + refused
    return plain["metric"], _METRIC_HEADS, [_metric_cells(row) for row in plain["rows"]]


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
    return [row["name"], *shares, _lost(row), *means]


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
    return [row["name"], *values, _lost(row)]


def _lost(row: dict[str, Any]) -> str:
    drop = row["drops"].get("test")
    return _NONE if drop is None else f"{100 * drop['drop']:.2f} ({interval(drop['interval'])})"
