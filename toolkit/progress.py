"""Shows the progress of a conversion where the progress of boards is shown."""

from __future__ import annotations

from collections.abc import Callable

from converters.progress import Progress
from targets.progress import OnProgress


def forward(on_progress: OnProgress) -> Callable[[Progress], None]:
    """Return what a conversion reports its progress to, so that `on_progress` shows it."""

    def report(progress: Progress) -> None:
        detail = f" ({progress.detail})" if progress.detail else ""
        on_progress(progress.stage + detail, progress.done, progress.total)

    return report
