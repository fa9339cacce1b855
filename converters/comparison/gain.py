"""Whether zero or shared weights made a file faster: what the measured latencies say. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from converters.comparison.comparison import Row
from converters.recipe.step import WEIGHTS
from converters.recipe.step_kinds import STEP_KINDS

#: A file that takes more than this share of another's time is not faster in a way that matters.
_NO_GAIN = 0.95


def gain_note(row: Row, rows: Sequence[Row]) -> str:
    """What to say about the latency of a file with zero or shared weights; "" for nothing.

    Args:
        row: The file.
        rows: All of the comparison: the one with the same steps but for these is what it is held
            against.
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


def _kinds(row: Row) -> tuple[str, ...]:
    steps = row.conversion.recipe_steps if row.conversion is not None else ()
    return tuple(str(step["kind"]) for step in steps)
