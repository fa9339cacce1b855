"""The section about what became of a model over time: latency and accuracy by date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.report import words
from toolkit.report.page.board_results import BoardResults
from toolkit.report.page.content import Plot, Section
from toolkit.report.page.plots import Line, draw_lines
from toolkit.report.page.reported_file import ReportedFile
from toolkit.report.stored_conversion import quality_cell
from toolkit.report.tables import Table

if TYPE_CHECKING:
    from toolkit.results.store import StoredResult

#: Units of the axis: seconds of each, the largest first; one is taken that the span has twice.
_UNITS = (("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))


@dataclass(frozen=True)
class DatedValue:
    """A figure of one day."""

    at: datetime
    value: float
    interval: tuple[float, float]
    cells: tuple[str, ...]
    """Cells of the table behind the name."""


def section_over_time(
    files: Sequence[ReportedFile], boards: Sequence[BoardResults], dates: Mapping[str, str]
) -> Section | None:
    """Return latency and accuracy of models of which there are several results.

    Files of one source and one recipe are one model, as of a training that is repeated.

    Args:
        files: Files with their measurements.
        boards: Measurements by board.
        dates: Digest of a converted file to the time at which it was made (UTC, ISO 8601).

    Returns:
        The section; `None` where no model has two results.
    """
    plots, tables = [], []
    for board in boards:
        series = _latencies(files, board)
        if series:
            label = f"Latency over time on {board.title}"
            plots.append(_plot(series, "latency, us", label, f"{board.title}: each measurement."))
            tables.append(_table(label, ["result", "taken at (UTC)", "median", "verdict"], series))
    for metric, series in _qualities(files, dates).items():
        label = f"{metric[:1].upper()}{metric[1:]} over time"
        y_label = "accuracy, %" if metric == "accuracy" else metric
        plots.append(_plot(series, y_label, label, f"{metric} of each file on its test samples."))
        tables.append(_table(label, ["file", "made at (UTC)", metric], series))
    if not plots:
        return None
    text = [
        "Results of one source and one recipe are one line; bars are 95 % intervals. Only results "
        "of one board, or of the same test samples, can be compared."
    ]
    return Section("time", "Over time", text, plots, tables)


def _latencies(files: Sequence[ReportedFile], board: BoardResults) -> dict[str, list[DatedValue]]:
    series: dict[str, list[DatedValue]] = {}
    for file in files:
        for result in file.results:
            line = result.line
            if (line.target, line.threads, line.mode) == (board.target, board.threads, board.mode):
                series.setdefault(_model_of(file, result), []).append(_dated_latency(result))
    return _of_several(series)


def _dated_latency(result: StoredResult) -> DatedValue:
    line, figure = result.line, result.latency
    cells = (str(line.id), _day(line.taken_at), words.duration(figure.median_us))
    return DatedValue(
        _moment(line.taken_at),
        figure.median_us,
        figure.interval_us,
        (*cells, result.verdict.kind),
    )


def _qualities(
    files: Sequence[ReportedFile], dates: Mapping[str, str]
) -> dict[str, dict[str, list[DatedValue]]]:
    """Series by metric and model."""
    metrics: dict[str, dict[str, list[DatedValue]]] = {}
    for file in files:
        quality, date = file.quality, dates.get(file.sha256)
        if quality is None or date is None or file.conversion is None:
            continue
        scale = 100.0 if quality.metric == "accuracy" else 1.0
        low, high = quality.interval or (quality.value, quality.value)
        cells = (file.sha256[:8], _day(date), quality_cell(quality))
        value = DatedValue(_moment(date), scale * quality.value, (scale * low, scale * high), cells)
        series = metrics.setdefault(quality.metric, {})
        series.setdefault(_model_of(file, None), []).append(value)
    return {name: several for name, series in metrics.items() if (several := _of_several(series))}


def _model_of(file: ReportedFile, result: StoredResult | None) -> str:
    """Name of all results of one source and recipe; without a conversion, of one path."""
    if file.conversion is not None:
        return f"{file.conversion.recipe_label} of {Path(file.conversion.source).name}"
    assert result is not None
    return result.line.model


def _of_several(series: Mapping[str, list[DatedValue]]) -> dict[str, list[DatedValue]]:
    """Series of several values, the oldest first."""
    return {
        name: sorted(values, key=lambda value: value.at)
        for name, values in series.items()
        if len(values) > 1
    }


def _plot(series: Mapping[str, list[DatedValue]], y_label: str, title: str, caption: str) -> Plot:
    begin = min(values[0].at for values in series.values())
    span = max((values[-1].at - begin).total_seconds() for values in series.values())
    unit, seconds = next((u for u in _UNITS if span >= 2 * u[1]), _UNITS[-1])
    lines = [
        Line(
            name,
            [(value.at - begin).total_seconds() / seconds for value in values],
            [value.value for value in values],
            [value.interval for value in values],
        )
        for name, values in series.items()
    ]
    x_label = f"{unit} since {begin:%Y-%m-%d %H:%M} UTC"
    return Plot(draw_lines(lines, x_label, y_label, title), caption)


def _table(title: str, columns: Sequence[str], series: Mapping[str, list[DatedValue]]) -> Table:
    rows = [[name, *value.cells] for name, values in series.items() for value in values]
    return Table(title, ["model", *columns], rows)


def _moment(text: str) -> datetime:
    """Time of a result; one that cannot be read is 1970."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromtimestamp(0, timezone.utc)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _day(text: str) -> str:
    return text[:16].replace("T", " ")
