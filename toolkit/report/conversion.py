"""A conversion: the plain form of how well the file does, and its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from toolkit.report import words
from toolkit.report.tables import Block, Table

if TYPE_CHECKING:
    from converters.evidence.conversion import Conversion
    from converters.judge.metric import MetricFigures
    from converters.judge.paired import Drop


def plain_judgement(conversion: Conversion) -> dict[str, Any]:
    """Return the accuracy, or the figure of another task, of the original model and of the file."""
    before, after, metric = conversion.float_accuracy, conversion.accuracy, conversion.metric
    if before is not None and after is not None:
        return {
            "float_accuracy": before.fraction,
            "accuracy": after.fraction,
            "samples": after.samples,
        }
    if conversion.output_figures:
        outputs = {entry.output: _plain_figures(entry) for entry in conversion.output_figures}
        return {"outputs": outputs}
    assert metric is not None
    return _plain_figures(metric)


def macs_cell(macs: int, operators: Sequence[str]) -> str:
    """Return multiply-accumulates, and the operators that may do more than was counted."""
    return f"{macs:,}" + (f" and more in {', '.join(operators)}" if operators else "")


def describe_conversion(conversion: Conversion) -> list[Block]:
    """Return the figures of a conversion for a person."""
    rows = [
        *judgement_rows(conversion),
        ["size", _given_size(conversion), words.size(conversion.model_bytes)],
    ]
    cost = conversion.cost
    if cost is not None:
        rows += [
            ["compressed", "", words.size(cost.compressed_bytes)],
            ["zero weights", "", words.percent(cost.sparsity)],
            ["multiply-accumulates", "", macs_cell(cost.macs, cost.uncounted)],
            ["peak of tensors", "", words.size(cost.peak_tensor_bytes)],
        ]
    title = f"{words.path(conversion.model)} by {conversion.recipe_label}"
    table = Table(title, ["", "given", "the file"], rows)
    return [table, *_describe_formats(conversion), *_describe_axes(conversion)]


def _describe_formats(conversion: Conversion) -> list[Block]:
    """Say how the .onnx does, and how far its answers are from those of the .tflite."""
    blocks = list[Block]()
    for other in conversion.other_files:
        figure = ""
        if other.accuracy is not None:
            figure = f", accuracy {words.percent(other.accuracy.fraction)} by ONNX Runtime"
        elif other.metric is not None:
            figure = f", {other.metric.name} {other.metric.file:.4g} by ONNX Runtime"
        blocks.append(f"{other.name}: {words.size(other.size_bytes)}{figure}")
    parity = conversion.format_parity
    if parity is not None:
        far = f"{parity.largest:.2g} of the range of the output"
        if parity.share_above_one is not None:
            share = words.percent(parity.share_above_one)
            far = f"{parity.largest:.0f} LSB, {share} of the values above 1 LSB"
        same = (
            ""
            if parity.same_class is None
            else (f", the same class for {words.percent(parity.same_class)}")
        )
        blocks.append(
            f"ONNX Runtime and TFLite differ by at most {far}{same}, on {parity.samples} held-out "
            "inputs"
        )
    return blocks


def _describe_axes(conversion: Conversion) -> list[Block]:
    """Say how arrays of the user come to the layout of the file."""
    blocks = list[Block]()
    for name, axes in conversion.data_axes.items():
        spec = next(spec for spec in conversion.inputs if name in ("", spec.name))
        order = ", ".join(str(axis + 1) for axis in axes)
        whose = f" for {name}" if name else ""
        blocks.append(
            f"the file takes {list(spec.shape)}, channels last: kedge fed x.transpose(0, {order}) "
            f"of your arrays{whose}, and so must an application; model.toml says it as axes"
        )
    return blocks


def _given_size(conversion: Conversion) -> str:
    return words.model_size(conversion.source_bytes, conversion.source_weight_bytes)


def describe_budget(conversion: Conversion) -> list[Block]:
    """Return whether the budget was held, and the recipes that were tried for it."""
    budget, blocks = conversion.budget, list[Block]()
    if budget is not None:
        verdict = "held, at most" if budget.held else "not held, more than"
        blocks.append(
            f"--max-drop: {verdict} {budget.max_drop:.2%} lost on the {budget.split} samples"
        )
    if len(conversion.attempts) < 2:
        return blocks
    rows = []
    for attempt in conversion.attempts:
        drop = "–" if attempt.drop is None else drop_cell(attempt.drop)
        rows.append([attempt.recipe, drop, attempt.refused or ("yes" if attempt.held else "no")])
    title = "Tried for --max-drop, on the validation samples"
    return [*blocks, Table(title, ["recipe", "drop, points or % (95 %)", "within"], rows)]


def judgement_rows(conversion: Conversion) -> list[list[str]]:
    """Return cells for the original model and for the file, and the drop between them."""
    before, after, metric = conversion.float_accuracy, conversion.accuracy, conversion.metric
    rows = []
    for figures in conversion.output_figures:
        name = f"{figures.output}: {figures.name}"
        rows.append([name, *(_figure_cell(figures, x) for x in (figures.given, figures.file))])
    if conversion.output_figures:
        samples = str(conversion.output_figures[0].samples)
        rows.append(["held-out samples", samples, samples])
    if metric is not None:
        rows = [
            [metric.name, f"{metric.given:.4g}", f"{metric.file:.4g}"],
            ["held-out samples", str(metric.samples), str(metric.samples)],
        ]
    if before is not None and after is not None:
        rows = [
            ["accuracy", words.percent(before.fraction), words.percent(after.fraction)],
            ["held-out samples", str(before.samples), str(after.samples)],
        ]
    for drop in conversion.drops:
        if drop.split == "test":
            name = "drop in points" if drop.before is None else "loss in %"
            name = f"{drop.output}: {name}" if drop.output else name
            rows.append([f"{name} (paired 95 % interval)", "", drop_cell(drop)])
    return rows


def drop_cell(drop: Drop) -> str:
    """Write a drop in points, or in percent of the model's figure, with its interval."""
    return f"{100 * drop.fraction:.2f} ({interval_cell(drop.interval)})"


def interval_cell(bounds: tuple[float, float]) -> str:
    """Write bounds, which are shares, in points or percent."""
    low, high = bounds
    return f"{100 * low:+.2f} to {100 * high:+.2f}"


def _figure_cell(figures: MetricFigures, value: float) -> str:
    return words.percent(value) if figures.name == "accuracy" else f"{value:.4g}"


def _plain_figures(metric: MetricFigures) -> dict[str, Any]:
    return {
        "metric": metric.name,
        "given": metric.given,
        "file": metric.file,
        "samples": metric.samples,
    }
