"""Errors of layers: their plain form, and their tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from converters.layer_error import LayerError
from toolkit.judge.layer_fix import LOW_DB, LayerFix
from toolkit.judge.layer_parity import LayerDifference, first_wrong
from toolkit.report import words
from toolkit.report.tables import Block, Note, Table

if TYPE_CHECKING:
    from converters.layer_output import LayerOutput
    from toolkit.measure.layer_differences import BoardLayers
    from toolkit.measure.layer_errors import LayerComparison

#: Number of layers that are shown; all are in the JSON.
MOST_LAYERS = 15


def plain_layer_comparison(
    comparison: LayerComparison, fixes: Sequence[LayerFix]
) -> dict[str, Any]:
    """Return errors against a float file for a program."""
    return {
        "samples": comparison.samples,
        "origin": comparison.origin,
        "layers": [plain_layer_error(error) for error in comparison.errors],
        "without_counterpart": [plain_output(output) for output in comparison.alone],
        "fixes": [{"reason": fix.reason, "lines": list(fix.lines)} for fix in fixes],
    }


def plain_output(output: LayerOutput) -> dict[str, Any]:
    """Return what a layer is for a program."""
    return {
        "layer": output.layer,
        "layers": list(output.layers),
        "op": output.op,
        "tensor": output.tensor,
        "dtype": output.spec.dtype,
        "scale": output.spec.scale,
    }


def plain_layer_error(error: LayerError) -> dict[str, Any]:
    """Return the error of one layer for a program."""
    return {
        **plain_output(error.output),
        "sqnr_db": error.sqnr_db,
        "source_sqnr_db": error.source_sqnr_db,
        "added_db": error.added_db,
        "rmse_per_scale": error.rmse_per_scale,
        "saturation": error.saturation,
        "share_at_ends": error.share_at_ends,
    }


def describe_layer_comparison(
    comparison: LayerComparison, fixes: Sequence[LayerFix]
) -> list[Block]:
    """Return errors against a float file for a person, the worst layer first, and what helps."""
    shown = comparison.errors[:MOST_LAYERS]
    rows = [
        [
            words.end_of(error.output.layer),
            error.output.op,
            error.output.spec.dtype,
            f"{error.sqnr_db:.1f} dB",
            f"{error.added_db:.1f} dB",
            "" if error.rmse_per_scale is None else f"{error.rmse_per_scale:.2f}",
            "" if error.saturation is None else words.percent(error.saturation),
        ]
        for error in shown
    ]
    title = f"layers against the float file ({comparison.samples} {comparison.origin})"
    if len(shown) < len(comparison.errors):
        title += f": the worst {len(shown)} of {len(comparison.errors)} (--json shows all)"
    columns = ["layer", "op", "type", "signal to noise", "lost here", "rmse/scale", "saturation"]
    blocks: list[Block] = [Table(title, columns, rows, ["type", "op", "lost here"])]
    if comparison.alone:
        names = ", ".join(words.end_of(output.layer) for output in comparison.alone[:MOST_LAYERS])
        more = len(comparison.alone) - MOST_LAYERS
        blocks.append(
            f"without a counterpart in the float file: {names}{f' and {more} more' * (more > 0)}"
        )
    blocks.append(
        Note("rmse/scale near 0.29 is the rounding alone; 6 dB of signal to noise are one bit")
    )
    return [*blocks, *_describe_fixes(fixes)]


def _describe_fixes(fixes: Sequence[LayerFix]) -> list[Block]:
    if not fixes:
        return [f"no layer is below {LOW_DB:.0f} dB: nothing to change"]
    blocks: list[Block] = ["to make it better, write one of these into a recipe:"]
    for fix in fixes:
        blocks += [f"  # {fix.reason}", "  [[step]]", *(f"  {line}" for line in fix.lines)]
    return blocks


def plain_board_layers(layers: BoardLayers) -> dict[str, Any]:
    """Return the layers of a file on a board for a program."""
    wrong = first_wrong(layers.differences)
    return {
        "target": layers.target,
        "samples": layers.samples,
        "origin": layers.origin,
        "host": asdict(layers.host),
        "board": asdict(layers.board),
        "first_wrong": None if wrong is None else wrong.output.layer,
        "layers": [
            {
                **plain_output(each.output),
                "sqnr_db": each.sqnr_db,
                "source_sqnr_db": each.source_sqnr_db,
                "largest_difference": each.largest,
                "beyond_one": each.beyond_one,
                "wrong": each.is_wrong,
            }
            for each in layers.differences
        ],
    }


def describe_board_layers(layers: BoardLayers) -> list[Block]:
    """Return the layers of a file on a board for a person, the worst first."""
    wrong = first_wrong(layers.differences)
    shown = sorted(layers.differences, key=lambda each: each.sqnr_db)[:MOST_LAYERS]
    title = f"layers on {layers.target} against this host ({layers.samples} {layers.origin})"
    if len(shown) < len(layers.differences):
        title += f": the worst {len(shown)} of {len(layers.differences)} (--json shows all)"
    columns = ["layer", "op", "signal to difference", "largest", "beyond 1 step"]
    blocks: list[Block] = [Table(title, columns, [_row(each) for each in shown], ["op"])]
    if wrong is None:
        return [*blocks, f"{layers.target} computes every layer as this host does"]
    return [
        *blocks,
        f"{layers.target} computes {wrong.output.op} {words.end_of(wrong.output.layer)!r} wrongly: "
        "the layers that it reads are those of this host, its own values are not",
        "  → leave out `delegate` of this target in kedge.toml, choose another `runtime`, or keep "
        "this layer in floats (keep_float in the recipe)",
    ]


def _row(each: LayerDifference) -> list[str]:
    is_float = each.beyond_one is None
    return [
        words.end_of(each.output.layer),
        each.output.op,
        f"{each.sqnr_db:.1f} dB",
        f"{each.largest:.3g}" if is_float else words.count_of("step", round(each.largest)),
        "" if each.beyond_one is None else words.percent(each.beyond_one),
    ]
