"""What a rollout does next. Pure: the tally of the boards and the time in, a decision out."""

from __future__ import annotations

from dataclasses import dataclass

RUN, WAIT, PAUSE, STOP, DONE = "run", "wait", "pause", "stop", "done"


@dataclass(frozen=True)
class Decision:
    """What to do now."""

    kind: str
    """`run`: begin the steps; `wait`: nothing can begin before `until`, or before a step ends;
    `pause` and `stop`: begin only the steps that bring boards on trial to an end; `done`: nothing
    is left."""
    steps: tuple[tuple[str, str], ...] = ()
    """Names of targets with the steps to begin on them."""
    reasons: tuple[str, ...] = ()
    """Reasons for a pause, a stop or a wait, in words."""
    until: float | None = None
    """Time of the next thing that happens by itself, seconds since 1970; `None` for none."""
