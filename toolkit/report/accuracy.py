"""How the accuracy on a board is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.cli import output

if TYPE_CHECKING:
    from toolkit.measure.accuracy import BoardAccuracy


def show_accuracy(found: BoardAccuracy) -> None:
    """Print how often a board was right, beside this host."""
    rows = [
        ["the board", *_share(found.board_correct, found.samples, found.board_interval)],
        ["this host", *_share(found.host_correct, found.samples, found.host_interval)],
    ]
    title = f"accuracy over {found.samples:,} samples of {found.data.name} ({found.origin})"
    output.table(title, ["", "right", "accuracy", "95 % interval"], rows)
    low, high = (100 * bound for bound in found.drop.interval)
    output.say(
        f"    drop from host to board {100 * found.drop.fraction:.2f} points, paired 95 % interval "
        f"{low:+.2f} to {high:+.2f}\n    right on the board alone {found.drop.won}, "
        f"on this host alone {found.drop.lost}; same decision {output.percent(found.agreement)}"
    )


def _share(correct: int, samples: int, interval: tuple[float, float]) -> list[str]:
    low, high = map(output.percent, interval)
    return [f"{correct:,}", output.percent(correct / samples), f"{low} to {high}"]
