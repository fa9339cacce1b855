"""Accuracy on a board: its plain form and its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.report import words
from toolkit.report.tables import Block, Table

if TYPE_CHECKING:
    from toolkit.measure.accuracy import BoardAccuracy, BoardMetric


def plain_accuracy(accuracy: BoardAccuracy | BoardMetric | None) -> dict[str, Any] | None:
    """Return what the JSON calls `accuracy` (docs/run.md); `None` where there is none."""
    if accuracy is None:
        return None
    from toolkit.measure.accuracy import BoardMetric  # whoever has figures has loaded it

    if isinstance(accuracy, BoardMetric):
        return _plain_metric(accuracy)
    return {
        "data": str(accuracy.data),
        "origin": accuracy.origin,
        "samples": accuracy.samples,
        "metric": "accuracy",
        "board": accuracy.board_correct / accuracy.samples,
        "board_interval": list(accuracy.board_interval),
        "host": accuracy.host_correct / accuracy.samples,
        "host_interval": list(accuracy.host_interval),
        "agreement": accuracy.agreement,
        "drop": accuracy.drop.fraction,
        "drop_interval": list(accuracy.drop.interval),
        "only_host_right": accuracy.drop.lost,
        "only_board_right": accuracy.drop.won,
    }


def describe_accuracy(accuracy: BoardAccuracy | BoardMetric) -> list[Block]:
    """Return how often a board was right, beside this host."""
    from toolkit.measure.accuracy import BoardMetric  # whoever has figures has loaded it

    if isinstance(accuracy, BoardMetric):
        return _describe_metric(accuracy)
    samples, drop = accuracy.samples, accuracy.drop
    rows = [
        ["the board", *_cells(accuracy.board_correct, samples, accuracy.board_interval)],
        ["this host", *_cells(accuracy.host_correct, samples, accuracy.host_interval)],
    ]
    title = f"accuracy over {samples:,} samples of {accuracy.data.name} ({accuracy.origin})"
    low, high = (100 * bound for bound in drop.interval)
    return [
        Table(title, ["", "right", "accuracy", "95 % interval"], rows),
        f"    drop from host to board {100 * drop.fraction:.2f} points, paired 95 % interval "
        f"{low:+.2f} to {high:+.2f}\n    right on the board alone {drop.won}, "
        f"on this host alone {drop.lost}; same decision {words.percent(accuracy.agreement)}",
    ]


def _cells(correct: int, samples: int, interval: tuple[float, float]) -> list[str]:
    low, high = map(words.percent, interval)
    return [f"{correct:,}", words.percent(correct / samples), f"{low} to {high}"]


def _plain_metric(figures: BoardMetric) -> dict[str, Any]:
    return {
        "data": str(figures.data),
        "origin": figures.origin,
        "samples": figures.samples,
        "metric": figures.metric,
        "higher_is_better": figures.higher_is_better,
        "board": figures.board.value,
        "board_interval": list(figures.board.interval),
        "host": figures.host.value,
        "host_interval": list(figures.host.interval),
        "drop": figures.drop.fraction,
        "drop_interval": list(figures.drop.interval),
    }


def _describe_metric(figures: BoardMetric) -> list[Block]:
    rows = []
    for score in (figures.board, figures.host):
        low, high = score.interval
        rows.append([score.subject, f"{score.value:.4g}", f"{low:.4g} to {high:.4g}"])
    title = f"{figures.metric} over {figures.samples:,} samples of {figures.data.name} "
    low, high = (100 * bound for bound in figures.drop.interval)
    return [
        Table(f"{title}({figures.origin})", ["", figures.metric, "95 % interval"], rows),
        f"    the board is worse than the host by {100 * figures.drop.fraction:.2f} %, paired 95 % "
        f"interval {low:+.2f} to {high:+.2f}",
    ]
