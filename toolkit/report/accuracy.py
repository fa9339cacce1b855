"""Accuracy on a board: its plain form and its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.report import words
from toolkit.report.tables import Block, Table

if TYPE_CHECKING:
    from toolkit.measure.accuracy import BoardAccuracy


def plain_accuracy(accuracy: BoardAccuracy | None) -> dict[str, Any] | None:
    """Return what the JSON calls `accuracy` (docs/run.md); `None` where there is none."""
    if accuracy is None:
        return None
    return {
        "data": str(accuracy.data),
        "origin": accuracy.origin,
        "samples": accuracy.samples,
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


def describe_accuracy(accuracy: BoardAccuracy) -> list[Block]:
    """Return how often a board was right, beside this host."""
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
