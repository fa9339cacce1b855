"""Whether a delegate computed what it was loaded for. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from targets.board_run import BoardRun


def silent_fallback(runs: Sequence[BoardRun]) -> list[str]:
    """Say whether a delegate was loaded, but the CPU did all the work.

    A vendor's delegate that finds its libraries missing claims no operator and says nothing: the
    figure is then of the CPU, under the accelerator's name (LiteRT issue 7858).

    Args:
        runs: Run of each fresh process.
    """
    placements = [run.run.placement for run in runs]
    fallen = [placement for placement in placements if placement and placement.fell_back]
    if not fallen:
        return []
    return [
        f"silent CPU fallback: {fallen[0].delegate} was loaded, but computes none of the "
        f"{fallen[0].total} ops ({fallen[0]})"
    ]
