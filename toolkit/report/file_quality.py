"""How well a model does on the test samples of a conversion. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converters.comparison.comparison import drop_on
from converters.data.dataset import TEST
from converters.errors import ConversionError
from converters.judge.score import FILE

if TYPE_CHECKING:
    from converters.evidence.conversion import Conversion
    from converters.judge.metric import MetricScore
    from converters.judge.score import Score


@dataclass(frozen=True)
class FileQuality:
    """How well a model does on the test samples."""

    metric: str
    """Name of the metric; `accuracy` is a share, 0 to 1."""
    value: float
    interval: tuple[float, float] | None
    """95 % interval; `None` where it is not known."""
    samples: int
    drop: float | None = None
    """Loss against the original: of accuracy as a share, of other metrics as a share of the
    original's value; `None` for the original itself, and where it is not known."""
    drop_interval: tuple[float, float] | None = None
    """Paired 95 % interval of `drop`."""


def quality_of(conversion: Conversion, subject: str = FILE) -> FileQuality | None:
    """Return figures on the test samples; of several outputs those of the one that loses most.

    Args:
        conversion: Conversion.
        subject: `FILE`, or `ORIGINAL` for the model that was given.

    Returns:
        The figures; `None` where none are known.
    """
    is_file = subject == FILE
    try:
        drop = drop_on(conversion, TEST) if is_file else None
    except ConversionError:
        drop = None
    drops = (drop.fraction, drop.interval) if drop is not None else (None, None)
    accuracy = conversion.accuracy if is_file else conversion.float_accuracy
    if accuracy is not None:
        interval = _interval(conversion.scores, subject)
        return FileQuality("accuracy", accuracy.fraction, interval, accuracy.samples, *drops)
    figures = conversion.metric
    if figures is None and conversion.output_figures:
        figures = next(
            (f for f in conversion.output_figures if drop is not None and f.output == drop.output),
            conversion.output_figures[0],
        )
    if figures is None:
        return None
    value = figures.file if is_file else figures.given
    interval = _interval(figures.scores, subject)
    return FileQuality(figures.name, value, interval, figures.samples, *drops)


def _interval(
    scores: Sequence[Score] | Sequence[MetricScore], subject: str
) -> tuple[float, float] | None:
    return next((s.interval for s in scores if (s.subject, s.split) == (subject, TEST)), None)
