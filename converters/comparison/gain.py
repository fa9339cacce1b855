"""Whether zero or shared weights made a file faster: what the measured latencies say. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from converters.comparison.comparison import RecipeRow
from converters.recipe.step import WEIGHTS
from converters.recipe.step_kinds import STEP_KINDS

#: A file that takes more than this share of another's time is not faster in a way that matters.
_NO_GAIN = 0.95


def gain_note(row: RecipeRow, rows: Sequence[RecipeRow]) -> str:
    """Say whether zero or shared weights made a file no faster.

    Args:
        row: The file.
        rows: All rows of the comparison; the one whose steps are those of the file, without the
            steps that make weights zero or equal, is the peer.

    Returns:
        One sentence; "" where the file is faster than its peer, or where that is unknown.
    """
    kinds = _kinds(row)
    others = tuple(kind for kind in kinds if STEP_KINDS[kind].phase != WEIGHTS)
    if others == kinds or row.latency_us is None:
        return ""
    peer = next((r for r in rows if r.conversion is not None and _kinds(r) == others), None)
    if peer is None or not peer.latency_us:
        return ""
    ratio = row.latency_us / peer.latency_us
    if ratio <= _NO_GAIN:
        return ""
    return (
        f"{row.name} is not faster than {peer.name}: it takes {ratio:.2f} of its time, measured; "
        "zero or shared weights pay off in the compressed file alone"
    )


def _kinds(row: RecipeRow) -> tuple[str, ...]:
    steps = row.conversion.recipe_steps if row.conversion is not None else ()
    return tuple(str(step["kind"]) for step in steps)
