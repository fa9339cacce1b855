"""Sections of a report: what is shown of files and of measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median

import numpy as np

from device_agent.contract.conditions import Conditions
from toolkit.report import words
from toolkit.report.conversion import interval_cell
from toolkit.report.measurement import median_us
from toolkit.report.page.board_results import BoardResult, BoardResults
from toolkit.report.page.content import Plot, Section
from toolkit.report.page.plots import (
    Line,
    Point,
    draw_bars,
    draw_distributions,
    draw_lines,
    draw_tradeoff,
)
from toolkit.report.page.reported_file import ReportedFile
from toolkit.report.page.sentences import ratio_of, reference_of
from toolkit.report.tables import Table

_NONE = "–"
#: Phases that each fresh process has once, in their order: field of `ProcessRun`, and words.
_PHASES = (
    ("import_ns", "import the runtime"),
    ("load_ns", "load"),
    ("allocate_ns", "allocate"),
    ("first_invoke_ns", "first inference"),
)


def section_of_files(files: Sequence[ReportedFile]) -> Section:
    """Return what each file is: accuracy, size, work and memory."""
    rows = []
    for file in files:
        cost = None if file.conversion is None else file.conversion.cost
        rows.append(
            [
                file.name,
                *_quality_cells(file),
                words.size(file.size_bytes) if file.size_bytes else _NONE,
                _NONE if cost is None else f"{cost.macs:,}",
                _NONE if cost is None else words.size(cost.peak_tensor_bytes),
                _NONE if cost is None else words.percent(cost.sparsity),
            ]
        )
    metric = next((v.quality.metric for v in files if v.quality is not None), "accuracy")
    columns = ["file", f"{metric} (95 %)", "loss (paired 95 %)", "size", "multiply-accumulates"]
    table = Table("", [*columns, "activations", "zero weights"], rows)
    text = ["Judged on test samples that nothing was trained, calibrated or chosen by."]
    return Section("files", "What was made", text if metric else (), tables=(table,))


def _quality_cells(file: ReportedFile) -> list[str]:
    quality = file.quality
    if quality is None:
        return [_NONE, _NONE]
    is_share = quality.metric == "accuracy"
    value = words.percent(quality.value) if is_share else f"{quality.value:.4g}"
    if quality.interval is not None:
        low, high = quality.interval
        value += (
            f" ({100 * low:.1f} to {100 * high:.1f})" if is_share else f" ({low:.4g} to {high:.4g})"
        )  # noqa: E501
    if quality.drop is None:
        return [value, _NONE]
    unit = "points" if is_share else "%"
    drop = f"{100 * quality.drop:+.2f} {unit}"
    if quality.drop_interval is not None:
        drop += f" ({interval_cell(quality.drop_interval)})"
    return [value, drop]


def sections_of_boards(boards: Sequence[BoardResults]) -> Iterator[Section]:
    """Iterate over the sections about speed, from the trade-off to the conditions."""
    if not boards:
        return
    tradeoffs = [plot for board in boards if (plot := _tradeoff(board)) is not None]
    if tradeoffs:
        text = [
            "Up and to the left is better. A line joins the files that no other one beats in both "
            "figures; bars are 95 % intervals, and files whose bars overlap are not told apart."
        ]
        yield Section("tradeoff", "Accuracy against latency", text, tradeoffs)
    yield Section(
        "latency",
        "Latency and memory on the board",
        ["Median over fresh processes with its interval; ratios compare with the first file."],
        tables=[_latency_table(board) for board in boards],
    )
    distributions = [_distribution(board) for board in boards if board.trusted_results]
    if distributions:
        yield Section(
            "distribution",
            "How single inferences vary",
            ["Each line tells the share of inferences that were at least so fast."],
            distributions,
            [_percentile_table(board) for board in boards if board.trusted_results],
        )
    yield Section(
        "phases",
        "From start to first answer",
        ["Each phase once in a fresh process; the median over the processes."],
        [_phases(board) for board in boards],
        [_phase_table(board) for board in boards],
    )
    conditions = [plot for board in boards for plot in _conditions(board)]
    if conditions:
        text = ["What the board reported before, while and after the timed loops ran."]
        tables = [_condition_table(board) for board in boards if any(_conditions(board))]
        yield Section("conditions", "Temperature and frequency", text, conditions, tables)


def _tradeoff(board: BoardResults) -> Plot | None:
    points = []
    for each in board.trusted_results:
        quality = each.file.quality
        if quality is None:
            continue
        figure = each.result.latency
        scale = 100 if quality.metric == "accuracy" else 1
        interval = quality.interval and (scale * quality.interval[0], scale * quality.interval[1])
        points.append(
            Point(
                each.file.name,
                figure.median_us,
                figure.interval_us,
                scale * quality.value,
                interval,
            )
        )
    if len(points) < 2:
        return None
    metric = next(e.file.quality.metric for e in board.trusted_results if e.file.quality)
    y_label = "accuracy, %" if metric == "accuracy" else metric
    title = f"{metric} against latency on {board.title}"
    svg = draw_tradeoff(points, "latency, us", y_label, title)
    return Plot(svg, f"{board.title}: {metric} on the test samples against the median latency.")


def _latency_table(board: BoardResults) -> Table:
    reference = reference_of(board)
    ordered = sorted(board.results, key=lambda each: each is not reference)
    rows = [_latency_cells(each, reference) for each in ordered]
    columns = ["file", "median", "interval", "ratio (95 %)", "p99", "peak memory", "outputs"]
    return Table(board.title, [*columns, "verdict"], rows)


def _latency_cells(each: BoardResult, reference: BoardResult | None) -> list[str]:
    result, figure = each.result, each.result.latency
    ratio = None
    if reference is not None and each.is_trusted and reference is not each:
        ratio = ratio_of(reference, each)
    ratio_cell = _NONE if each is not reference else "1"
    if ratio is not None:
        low, high = ratio.interval
        ratio_cell = f"{ratio.value:.3f} ({low:.3f} to {high:.3f})"
    p99 = figure.percentiles_us.get(99)
    return [
        each.file.name,
        words.duration(figure.median_us),
        " to ".join(words.duration(value) for value in figure.interval_us),
        ratio_cell,
        _NONE if p99 is None else words.duration(p99),
        words.size(max(run.run.peak_rss_bytes for run in result.runs)),
        str(result.document["parity"]["verdict"]),
        result.verdict.kind,
    ]


def _distribution(board: BoardResults) -> Plot:
    samples = [
        (
            each.file.name,
            np.concatenate([np.asarray(run.samples_ns, np.float64) for run in each.result.runs])
            / 1e3,
        )
        for each in board.trusted_results
    ]
    title = f"Distribution of latency on {board.title}"
    svg = draw_distributions(samples, "latency, us", title)
    return Plot(svg, f"{board.title}: the slowest 1 % are left out of the drawing.")


def _percentile_table(board: BoardResults) -> Table:
    rows = []
    for each in board.trusted_results:
        figure = each.result.latency
        shares = [figure.percentiles_us.get(percent) for percent in (90, 95, 99)]
        values = [figure.fastest_us, figure.median_us, *shares, figure.slowest_us]
        cells = [_NONE if value is None else words.duration(value) for value in values]
        rows.append([each.file.name, *cells, f"{figure.samples:,}"])
    columns = ["file", "fastest", "median", "p90", "p95", "p99", "slowest seen", "samples"]
    return Table(board.title, columns, rows)


def _phases(board: BoardResults) -> Plot:
    parts = [
        (title, [median_us(each.result.row, field) / 1e3 for each in board.results])
        for field, title in _PHASES
    ]
    names = [each.file.name for each in board.results]
    title = f"Phases of a process on {board.title}"
    svg = draw_bars(names, parts, "time, ms", title)
    return Plot(svg, f"{board.title}: time until the first answer of a fresh process.")


def _phase_table(board: BoardResults) -> Table:
    rows = [
        [
            each.file.name,
            *(words.duration(median_us(each.result.row, field)) for field, _ in _PHASES),
        ]
        for each in board.results
    ]
    return Table(board.title, ["file", *(title for _, title in _PHASES)], rows)


def _conditions(board: BoardResults) -> Iterator[Plot]:
    """Drawings of temperature and frequency, where the board reports them."""
    for name, unit, value_of in _CONDITIONS:
        lines = []
        for each in board.results:
            pairs = [
                (entry.monotonic_ns / 1e9, value)
                for entry in _entries(each)
                if (value := value_of(entry)) is not None
            ]
            if len(pairs) > 1:
                seconds = [second - pairs[0][0] for second, _ in pairs]
                lines.append(Line(each.file.name, seconds, [value for _, value in pairs]))
        if lines:
            title = f"CPU {name} on {board.title}"
            svg = draw_lines(lines, "seconds", f"{name}, {unit}", title)
            yield Plot(svg, f"{board.title}: {name} beside the timing of each file.")


def _condition_table(board: BoardResults) -> Table:
    columns = ["file", "median"]
    columns += [f"{when} {name}" for name, _, _ in _CONDITIONS for when in ("lowest", "highest")]
    rows = []
    for each in board.results:
        row = [each.file.name, words.duration(each.result.latency.median_us)]
        for _, unit, value_of in _CONDITIONS:
            values = [v for entry in _entries(each) if (v := value_of(entry)) is not None]
            row += [f"{f(values):.0f} {unit}" if values else _NONE for f in (min, max)]
        rows.append(row)
    return Table(board.title, columns, rows)


def _entries(each: BoardResult) -> list[Conditions]:
    return [entry for run in each.result.runs for entry in run.conditions]


def _temperature_celsius(entry: Conditions) -> float | None:
    """Temperature of the warmest zone."""
    return max(entry.temperature_celsius.values(), default=None)


def _frequency_mhz(entry: Conditions) -> float | None:
    """Median over the CPUs."""
    return median(entry.frequency_khz.values()) / 1e3 if entry.frequency_khz else None


#: Conditions that are drawn: name, unit, and function of one reading.
_CONDITIONS: tuple[tuple[str, str, Callable[[Conditions], float | None]], ...] = (
    ("temperature", "°C", _temperature_celsius),
    ("frequency", "MHz", _frequency_mhz),
)
