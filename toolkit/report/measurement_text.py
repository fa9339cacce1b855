"""What a measurement is for a person: the verdict first, then the figures, then how it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.cli import output
from toolkit.report.accuracy import show_accuracy
from toolkit.report.measurement import once_us
from toolkit.report.op_times import show_op_times

if TYPE_CHECKING:
    from toolkit.judge.energy import Energy
    from toolkit.judge.pace import Pace
    from toolkit.judge.parity import Parity
    from toolkit.judge.soak import Soak
    from toolkit.judge.statistics import Latency
    from toolkit.judge.trend import Trend
    from toolkit.measure.bench import Measurement
    from toolkit.judge.row import Row

#: A soak that lasted this share of what was asked for ended by itself.
_WHOLE_SOAK = 0.99


def show_measurement(measurement: Measurement) -> None:
    """Print a measurement: the verdict first."""
    for row in measurement.rows:
        show_verdict(row)
    output.say("")
    show_rows(
        f"{output.path(measurement.model)} on {measurement.place}: {measurement.kernel_class}",
        measurement.rows,
    )
    asked_s, soak = measurement.settings.soak_s, measurement.best.soak
    if soak is not None and soak.duration_s < _WHOLE_SOAK * asked_s:
        output.say(f"the soak was ended early: {output.duration(1e6 * asked_s)} were asked for")
    if len(measurement.rows) > 1:
        output.say(f"best setting: --threads {measurement.best.threads}")
    show_row_details(measurement.best, measurement.staged.size_bytes, _host_phases(measurement))
    if measurement.op_times is not None:
        show_op_times(measurement.op_times)
    show_parity(measurement.parity)
    if measurement.accuracy is not None:
        show_accuracy(measurement.accuracy)


def show_verdict(row: Row) -> None:
    """Print whether a row can be trusted."""
    threads = f"{row.threads} thread" + ("s" if row.threads > 1 else "")
    output.say(f"{row.verdict.kind} with {threads}")
    for reason in row.verdict.reasons:
        output.say(f"    {reason}")
    for warning in row.verdict.warnings:
        output.say(f"    note: {warning}")


def show_rows(title: str, rows: tuple[Row, ...]) -> None:
    """Print the figures, one line for each setting."""
    confidence = rows[0].latency.confidence
    interval = f"{100 * confidence:.0f} % interval" if confidence else "interval"
    columns = ["threads", "invoke", interval, "p90", "p99", "largest seen", "n/processes"]
    output.table(title, [*columns, "end to end", "cores"], [_shown_row(row) for row in rows])
    paced = [(row, pace) for row in rows if (pace := row.pace) is not None]
    if paced:
        _show_paces(paced)


def show_row_details(row: Row, model_bytes: int | None, phases: str = "") -> None:
    """Print what lies beside the figures of a row.

    Args:
        row: Which.
        model_bytes: Size of the model, where it is known.
        phases: What came before the process, as words.
    """
    soak = row.soak
    if soak is not None:
        _show_soak(soak)
    _show_outliers(row.latency)
    placement = row.runs[0].run.placement
    output.say(f"placement: {placement or 'not told by this runtime'}")
    output.say(phases + _process_phases(row))
    output.say(_memory(row, model_bytes))
    output.say(_energy(row.energy))


def _shown_row(row: Row) -> list[str]:
    figure = row.latency
    return [
        str(row.threads),
        output.duration(figure.median_us),
        _interval(figure),
        *_percentiles(figure),
        output.duration(figure.slowest_us),
        f"{figure.samples}/{len(row.runs)}",
        output.duration(row.end_to_end.median_us),
        f"{row.effective_cores:.2f}",
    ]


def _interval(figure: Latency) -> str:
    if not figure.confidence:
        return "one process"
    low, high = figure.interval_us
    return f"{output.duration(low)} to {output.duration(high)}"


def _percentiles(figure: Latency) -> list[str]:
    return [
        output.duration(value) if value is not None else "too few samples"
        for value in (figure.percentiles_us[90], figure.percentiles_us[99])
    ]


def _show_paces(paced: list[tuple[Row, Pace]]) -> None:
    columns = ["threads", "response", "p90", "p99", "largest seen", "missed", "back to back"]
    rows = [
        [
            str(row.threads),
            output.duration(pace.response.median_us),
            *_percentiles(pace.response),
            output.duration(pace.response.slowest_us),
            f"{pace.missed} of {pace.requests}",
            output.duration(pace.back_to_back_us),
        ]
        for row, pace in paced
    ]
    pace = paced[0][1]
    title = f"at {pace.rate_hz:g} requests a second, from the intended start of each"
    output.table(f"{title} (deadline {output.duration(pace.period_us)})", columns, rows)


def _show_soak(soak: Soak) -> None:
    from toolkit.judge.soak import LEAKS, SLOWS

    output.say(
        f"soak of {soak.duration_s / 60:.1f} min, {soak.runs} runs: {' and '.join(soak.verdict)}"
    )
    hours, each = soak.told_by
    if soak.memory is not None:
        slope, low, high = (
            hours * bound / 1024 for bound in (soak.memory.slope, *soak.memory.interval)
        )
        output.say(
            f"    memory {output.size(soak.memory_start_bytes)} at first, "
            f"{output.size(soak.memory_end_bytes)} at last: {slope:+,.0f} KiB{each} "
            f"(95 % interval {low:+,.0f} to {high:+,.0f}){_not_counted(soak, soak.memory, LEAKS)}"
        )
    if soak.latency is not None:
        slope, low, high = (
            hours * 100 * bound / soak.latency.start
            for bound in (soak.latency.slope, *soak.latency.interval)
        )
        output.say(
            f"    latency {output.duration(soak.latency.start)} at first: {slope:+,.1f} %{each} "
            f"(95 % interval {low:+,.1f} to {high:+,.1f}){_not_counted(soak, soak.latency, SLOWS)}"
        )


def _not_counted(soak: Soak, found: Trend, word: str) -> str:
    """Say why a trend that is seen does not make the verdict."""
    if word in soak.verdict or not found.is_seen:
        return ""
    return ", not counted: too small, or not in the second half"


def _show_outliers(figure: Latency) -> None:
    found = figure.outliers
    if not found.count:
        output.say(f"outliers: none of {figure.samples} samples")
        return
    output.say(
        f"outliers, all kept: {found.count} of {figure.samples} samples; "
        f"high {found.high_mild} mild, {found.high_severe} severe; "
        f"low {found.low_mild} mild, {found.low_severe} severe"
    )


def _host_phases(measurement: Measurement) -> str:
    seconds = {"connect": measurement.connect_s, "push": measurement.push_s}
    told = [
        f"{name} {output.duration(1e6 * value)} · "
        for name, value in seconds.items()
        if value is not None
    ]
    return "".join(told)


def _process_phases(row: Row) -> str:
    names = {
        "import": "import_ns",
        "load": "load_ns",
        "allocate": "allocate_ns",
        "first inference": "first_invoke_ns",
        "warm-up": "warmup_ns",
    }
    told = [f"{name} {output.duration(once_us(row, field))}" for name, field in names.items()]
    steady = sum(run.run.wall_ns for run in row.runs) / 1e3
    return " · ".join([*told, f"steady {output.duration(steady)} in all"])


def _memory(row: Row, model_bytes: int | None) -> str:
    before = max(run.run.before_load_rss_bytes for run in row.runs)
    load = max(run.run.load_peak_rss_bytes for run in row.runs)
    peak = max(run.run.peak_rss_bytes for run in row.runs)
    told = [f"model {output.size(model_bytes)}"] if model_bytes is not None else []
    if before:
        told.append(f"loading it adds {output.size(max(0, load - before))}")
    told.append(f"peak memory of the process {output.size(peak)}")
    return "memory: " + " · ".join([*told, "arena: the runtime does not tell"])


def _energy(energy: Energy | None) -> str:
    if energy is None:
        return "energy: not measured (the board has no power sensor that is read)"
    net = "" if energy.net_uj is None else f", {energy.net_uj / 1e3:.3g} mJ above idle"
    return (
        f"energy: {energy.gross_uj / 1e3:.3g} mJ for each inference{net} "
        f"({' + '.join(energy.rails)}, {energy.readings} readings)"
    )


def show_parity(parity: Parity) -> None:
    """Print how a board's outputs compare with the host's."""
    if not parity.samples:
        output.say(f"outputs {parity.verdict}: {parity.reason}")
        return
    kind = "held-out" if parity.real_inputs else "random"
    output.say(f"outputs {parity.verdict} over {parity.samples} {kind} inputs: {parity.reason}")
    output.say(
        f"    largest difference {parity.largest_difference:g}, beyond 1 step "
        f"{output.percent(parity.beyond_one)}"
        + ("" if parity.numbers else f", same decision {output.percent(parity.agreement)}")
    )
    if parity.board_accuracy is not None and parity.host_accuracy is not None:
        figure = "decisions of the original model kept" if parity.own_labels else "accuracy"
        output.say(
            f"    {figure} on the board {output.percent(parity.board_accuracy)}, "
            f"on this host {output.percent(parity.host_accuracy)}"
        )
