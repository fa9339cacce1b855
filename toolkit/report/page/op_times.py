"""The section about the time of each operator of a file on a board."""

from __future__ import annotations

from collections.abc import Sequence

from device_agent.contract.op_times import OpTime, OpTimes
from toolkit.judge.op_times import judge_op_times
from toolkit.report import words
from toolkit.report.page.content import Plot, Section
from toolkit.report.page.plots import draw_bars
from toolkit.report.page.reported_file import ReportedFile
from toolkit.report.tables import Table

#: Steps that a drawing has room for, the slowest ones.
_MOST = 20
_NONE = "–"


def section_of_op_times(files: Sequence[ReportedFile]) -> Section | None:
    """Return the latest times of the operators of each file on each board; `None` for none.

    Args:
        files: Files with their measurements.
    """
    text = [
        "Medians of profiled runs with one thread, in the order of the inference. A layer that the "
        "runtime computes by several steps has several bars."
    ]
    plots, tables = [], []
    for file in files:
        for target, times in _latest(file).items():
            title = f"{file.name} on {target}"
            if times.reason:
                text.append(f"{title}: no times, {times.reason}.")
                continue
            verdict, reason = judge_op_times(times)
            text.append(f"{title}: {verdict}, {reason}.")
            if times.total_us > 0:
                plots.append(_plot(times, title))
            tables.append(_table(times, title))
    if not tables and len(text) == 1:
        return None
    return Section("operators", "Time of each operator", text, plots, tables)


def _latest(file: ReportedFile) -> dict[str, OpTimes]:
    """Target to the times of the newest result that has some."""
    pairs = [(result.line.target, result.op_times) for result in file.results]
    return {target: times for target, times in pairs if times is not None}


def _plot(times: OpTimes, title: str) -> Plot:
    slowest = sorted(times.steps, key=lambda step: -step.median_us)[:_MOST]
    steps = [step for step in times.steps if any(step is each for each in slowest)]
    names = [_name(step) for step in steps]
    executors = [*dict.fromkeys(step.executor for step in steps)]
    parts = [
        (executor or "others", [s.median_us if s.executor == executor else 0.0 for s in steps])
        for executor in executors
    ]
    svg = draw_bars(names, parts, "time, us", f"Time of each operator of {title}")
    rest = len(times.steps) - len(steps)
    more = f" The other {rest} steps are in the table." if rest else ""
    return Plot(svg, f"{title}: median time of each step, by what computes it.{more}")


def _name(step: OpTime) -> str:
    """Layer and kind of the step; runtimes put a layout and a kernel behind the kind."""
    kind = step.op.partition(" (")[0]
    return f"{words.end_of(step.layer)}: {kind}" if step.layer else kind


def _table(times: OpTimes, title: str) -> Table:
    whole = max(times.total_us, times.whole_us) or 1.0
    rows = [
        [
            words.end_of(step.layer) or step.op,
            words.duration(step.median_us) if step.median_us else "below 1 us",
            words.percent(step.median_us / whole) if step.median_us else _NONE,
            _NONE if step.macs is None else f"{step.macs:,}",
            step.executor or _NONE,
            step.op,
        ]
        for step in times.steps
    ]
    columns = ["layer", "time", "share", "multiply-accumulates", "executor", "operator"]
    return Table(title, columns, rows)
