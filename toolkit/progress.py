"""Progress of conversions and boards, in one form: `targets.progress.OnProgress`."""

from __future__ import annotations

import re
from collections.abc import Callable

from converters.progress import PRINTED, Progress
from targets.progress import OnProgress

#: Stages after which nothing more comes from a board or a recipe.
ENDS = ("done", "converted already", "refused", "failed")
_DETAIL = re.compile(r" \(.*\)$")

_PRINTED_LINE = re.compile(rf"(?:[^:]*: )?{PRINTED}: (.*)", re.DOTALL)


def printed_line(what: str) -> str | None:
    """Return the line that a function of the user printed; None for any other report."""
    match = _PRINTED_LINE.fullmatch(what)
    return match[1] if match else None


def stage_of(what: str) -> str:
    """Return a report of progress without its detail, such as the loss of an epoch."""
    return _DETAIL.sub("", what)


def forward(on_progress: OnProgress) -> Callable[[Progress], None]:
    """Return what a conversion reports its progress to, so that `on_progress` shows it."""

    def report(progress: Progress) -> None:
        if progress.stage == PRINTED:
            on_progress(f"{PRINTED}: {progress.detail}", 0, 0)
            return
        detail = f" ({progress.detail})" if progress.detail else ""
        on_progress(progress.stage + detail, progress.done, progress.total)

    return report
