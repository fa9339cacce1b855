"""A measurement in words and tables: the verdict, the figures, then the conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.report import words
from toolkit.report.accuracy import describe_accuracy
from toolkit.report.measurement import median_us
from toolkit.report.op_times import describe_op_times
from toolkit.report.tables import Block, Note, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from targets.errors import TargetError
    from toolkit.judge.energy import Energy
    from toolkit.judge.pace import Pace
    from toolkit.judge.parity import Parity
    from toolkit.judge.row import Row
    from toolkit.judge.soak import Soak
    from toolkit.judge.statistics import Latency
    from toolkit.judge.trend import Trend
    from toolkit.measure.bench import Measurement

#: Lines about the state of a model, where it has one.
_STATES = {
    "fresh": (
        "the model keeps a state: it is fresh before each compared sample, and goes on in timed",
        "inferences (streaming = true in model.toml makes the samples one stream)",
    ),
    "stream": (
        "the model keeps a state: the compared samples are one stream, as model.toml says, and it",
        "goes on in timed inferences",
    ),
}

#: Verdict of a comparison to its form behind "outputs", where that is another one.
_PLURAL = {"AGREES": "AGREE", "DIFFERS": "DIFFER"}

#: A soak shorter than this share of the requested time was ended by a person.
_WHOLE_SOAK = 0.99

#: Columns that a narrow terminal leaves out, the least important first.
_ROW_DETAILS = ("cores", "n/processes", "p90", "largest seen", "end to end")
_PACE_DETAILS = ("p90", "back to back", "largest seen")


def describe_measurement(measurement: Measurement) -> list[Block]:
    """Return a measurement for a person."""
    rows, best = measurement.rows, measurement.best
    title = f"{words.path(measurement.model)} on {measurement.place}: {measurement.kernel_class}"
    blocks = [line for row in rows for line in describe_verdict(row)]
    blocks += ["", *describe_rows(title, rows)]
    requested_s, soak = measurement.settings.soak_s, best.soak
    if soak is not None and soak.duration_s < _WHOLE_SOAK * requested_s:
        requested = words.duration(1e6 * requested_s)
        blocks.append(f"the soak was ended early: {requested} were asked for")
    if measurement.interrupted:
        blocks.append(Note("interrupted: these are the processes that had ended by then"))
    if measurement.failure is not None:
        blocks.append(Note(describe_failure(measurement.failure)))
    if measurement.settings.streams and len(rows) > 1:
        blocks.append(f"the board is saturated by {_streams(best)}")
    elif len(rows) > 1:
        blocks.append(f"best setting: --threads {best.threads}")
    blocks += describe_details(best, measurement.staged.size_bytes, _host_phases(measurement))
    if measurement.op_times is not None:
        blocks += describe_op_times(measurement.op_times)
    blocks += describe_parity(measurement.parity)
    blocks += [f"    {line}" for line in _STATES.get(measurement.state, ())]
    blocks += [Note(f"--force overrides: {refusal}") for refusal in measurement.overridden]
    if measurement.accuracy is not None:
        blocks += describe_accuracy(measurement.accuracy)
    return blocks


def describe_failure(failure: TargetError) -> str:
    """Say why the rest of a measurement is missing."""
    hint = f"\n→ {failure.hint}" if failure.hint else ""
    return f"the rest was not measured: {failure}{hint}"


def describe_verdict(row: Row) -> list[Block]:
    """Return whether a row can be trusted, and why not."""
    threads = f"{row.threads} thread" + ("s" if row.threads > 1 else "")
    if row.streams > 1:
        threads = f"{_streams(row)} at the same time"
    return [
        f"{row.verdict.kind} with {threads}",
        *(f"    {reason}" for reason in row.verdict.reasons),
        *(f"    note: {warning}" for warning in row.verdict.warnings),
    ]


def describe_rows(title: str, rows: Sequence[Row]) -> list[Block]:
    """Return the figures, one line for each setting."""
    confidence = rows[0].latency.confidence
    interval = f"{100 * confidence:.0f} % interval" if confidence else "interval"
    if any(row.streams > 1 for row in rows):
        return [_throughput_table(title, rows)]
    columns = ["threads", "invoke", interval, "p90", "p99", "largest seen", "n/processes"]
    columns += ["end to end", "cores"]
    table = Table(title, columns, [_row_cells(row) for row in rows], _ROW_DETAILS)
    paced = [(row, pace) for row in rows if (pace := row.pace) is not None]
    return [table, _pace_table(paced)] if paced else [table]


def describe_details(row: Row, model_bytes: int | None, phases: str = "") -> list[Block]:
    """Return the facts beside the figures of a row.

    Args:
        row: Row of a measurement.
        model_bytes: Size of the model, where it is known.
        phases: Time that passed before the process, in words.
    """
    placement = row.runs[0].run.placement
    return [
        *(_soak_lines(row.soak) if row.soak is not None else ()),
        _outlier_line(row.latency),
        f"placement: {placement or 'not reported by this runtime'}",
        phases + _process_phases(row),
        _memory_line(row, model_bytes),
        _energy_line(row.energy),
    ]


def _row_cells(row: Row) -> list[str]:
    figure = row.latency
    return [
        str(row.threads),
        words.duration(figure.median_us),
        _interval(figure),
        *_percentiles(figure),
        words.duration(figure.slowest_us),
        f"{figure.samples}/{len(row.runs)}",
        words.duration(row.end_to_end.median_us),
        f"{row.effective_cores:.2f}",
    ]


def _interval(figure: Latency) -> str:
    if not figure.confidence:
        return "one process"
    low, high = figure.interval_us
    return f"{words.duration(low)} to {words.duration(high)}"


def _percentiles(figure: Latency) -> list[str]:
    return [
        words.duration(value) if value is not None else "too few samples"
        for value in (figure.percentiles_us[90], figure.percentiles_us[99])
    ]


def _streams(row: Row) -> str:
    return f"{row.streams} process" + ("es" if row.streams > 1 else "")


def _throughput_table(title: str, rows: Sequence[Row]) -> Table:
    columns = ["processes", "inferences/s", "interval", "invoke", "p90", "p99", "largest seen"]
    cells = []
    for row in rows:
        figure = row.throughput
        low, high = figure.interval
        cells.append(
            [
                str(row.streams),
                f"{figure.per_second:,.1f}",
                f"{low:,.1f} to {high:,.1f}",
                words.duration(row.latency.median_us),
                *_percentiles(row.latency),
                words.duration(row.latency.slowest_us),
            ]
        )
    return Table(title, columns, cells, ("p90", "largest seen"))


def _pace_table(paced: Sequence[tuple[Row, Pace]]) -> Table:
    columns = ["threads", "response", "p90", "p99", "largest seen", "missed", "back to back"]
    rows = [
        [
            str(row.threads),
            words.duration(pace.response.median_us),
            *_percentiles(pace.response),
            words.duration(pace.response.slowest_us),
            f"{pace.missed} of {pace.requests}",
            words.duration(pace.back_to_back_us),
        ]
        for row, pace in paced
    ]
    pace = paced[0][1]
    title = (
        f"at {pace.rate_hz:g} requests a second, from the intended start of each "
        f"(deadline {words.duration(pace.period_us)})"
    )
    return Table(title, columns, rows, _PACE_DETAILS)


def _soak_lines(soak: Soak) -> list[str]:
    from toolkit.judge.soak import (  # NumPy takes 0.1 s to import: `--help` need not wait
        LEAKS,
        SLOWS,
    )

    lines = [
        f"soak of {words.duration(1e6 * soak.duration_s)}, {soak.runs:,} runs: "
        f"{' and '.join(soak.verdict)}{_shortness(soak)}"
    ]
    hours, each = soak.trend_unit
    if soak.memory is not None:
        slope, low, high = (
            hours * bound / 1024 for bound in (soak.memory.slope, *soak.memory.interval)
        )
        lines.append(
            f"    memory {words.size(soak.memory_end_bytes)} at last, trend "
            f"{slope:+,.0f} KiB{each} (95 % interval {low:+,.0f} to {high:+,.0f})"
            + _why_ignored(soak, soak.memory, LEAKS)
        )
    if soak.latency is not None:
        slope, low, high = (
            hours * 100 * bound / soak.latency.start
            for bound in (soak.latency.slope, *soak.latency.interval)
        )
        lines.append(
            f"    latency {words.duration(soak.latency.start)} at first, trend "
            f"{slope:+,.1f} %{each} (95 % interval {low:+,.1f} to {high:+,.1f})"
            + _why_ignored(soak, soak.latency, SLOWS)
        )
    return lines


def _shortness(soak: Soak) -> str:
    from toolkit.judge.soak import LEAST_S

    return f" for a verdict, {LEAST_S:.0f} s are needed" if soak.duration_s < LEAST_S else ""


def _why_ignored(soak: Soak, trend: Trend, word: str) -> str:
    """Say why a trend that is seen does not make the verdict."""
    if word in soak.verdict or not trend.is_seen:
        return ""
    return ", not counted: too small, or not in the second half"


def _outlier_line(figure: Latency) -> str:
    counts = figure.outliers
    if not counts.count:
        return f"outliers: none of {figure.samples} samples"
    return (
        f"outliers, all kept: {counts.count} of {figure.samples} samples; "
        f"high {counts.high_mild} mild, {counts.high_severe} severe; "
        f"low {counts.low_mild} mild, {counts.low_severe} severe"
    )


def _host_phases(measurement: Measurement) -> str:
    seconds = {"connect": measurement.connect_s, "push": measurement.push_s}
    return "".join(
        f"{name} {words.duration(1e6 * value)} · "
        for name, value in seconds.items()
        if value is not None
    )


def _process_phases(row: Row) -> str:
    fields = {
        "import": "import_ns",
        "load": "load_ns",
        "allocate": "allocate_ns",
        "first inference": "first_invoke_ns",
        "warm-up": "warmup_ns",
    }
    phases = [f"{name} {words.duration(median_us(row, field))}" for name, field in fields.items()]
    steady = sum(run.run.wall_ns for run in row.runs) / 1e3
    return " · ".join([*phases, f"steady {words.duration(steady)} in all"])


def _memory_line(row: Row, model_bytes: int | None) -> str:
    before = max(run.run.before_load_rss_bytes for run in row.runs)
    load = max(run.run.load_peak_rss_bytes for run in row.runs)
    peak = max(run.run.peak_rss_bytes for run in row.runs)
    parts = [f"model {words.size(model_bytes)}"] if model_bytes is not None else []
    if before:
        parts.append(f"loading it adds {words.size(max(0, load - before))}")
    parts.append(f"peak memory of the process {words.size(peak)}")
    return "memory: " + " · ".join([*parts, "arena: not reported by the runtime"])


def _energy_line(energy: Energy | None) -> str:
    if energy is None:
        return "energy: not measured (the board has no power sensor that is read)"
    net = "" if energy.net_uj is None else f", {energy.net_uj / 1e3:.3g} mJ above idle"
    return (
        f"energy: {energy.gross_uj / 1e3:.3g} mJ for each inference{net} "
        f"({' + '.join(energy.rails)}, {energy.readings} readings)"
    )


def describe_parity(parity: Parity) -> list[str]:
    """Return how a board's outputs compare with the host's."""
    verdict = _PLURAL.get(parity.verdict, parity.verdict)
    if not parity.samples:
        return [f"outputs {verdict}: {parity.reason}"]
    kind = "held-out" if parity.real_inputs else "random"
    if parity.training_samples:
        held_out = parity.samples - parity.training_samples
        kind = f"real ({held_out} held-out, {parity.training_samples} training)"
    inputs = "input" if parity.samples == 1 else "inputs"
    lines = [
        f"outputs {verdict} over {parity.samples} {kind} {inputs}: {parity.reason}",
        f"    largest difference {parity.largest_difference:g}, beyond 1 step "
        f"{words.percent(parity.beyond_one)}"
        + ("" if parity.numbers else f", same decision {words.percent(parity.agreement)}"),
    ]
    if parity.board_accuracy is not None and parity.host_accuracy is not None:
        figure = "decisions of the original model kept" if parity.own_labels else "accuracy"
        lines.append(
            f"    {figure} on the board {words.percent(parity.board_accuracy)}, "
            f"on this host {words.percent(parity.host_accuracy)}"
        )
    return lines
