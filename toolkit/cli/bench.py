"""`kedge bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import output
from toolkit.cli.options import as_json, file_path, measuring

if TYPE_CHECKING:
    from toolkit.bench import Measurement, Row
    from toolkit.parity import Parity

EXIT_REFUSED = 8
EXIT_NOT_TRUSTED = 9


@click.command("bench")
@click.argument("file", type=file_path())
@click.option("--on", "name", required=True, help="The target.")
@measuring
@as_json
def command(
    file: Path,
    name: str,
    threads: tuple[int, ...],
    duration_s: float,
    wheelhouse: Path | None,
    as_json: bool,
) -> int:
    """Measure a .tflite on a board, and compare its outputs with this host's.

    Each row is six fresh processes; the interval encloses the median with 97 % confidence. Exits
    with 9 when a figure cannot be trusted, with 8 when the outputs are not the host's.

    \b
    kedge bench out/model.tflite --on pi
    kedge bench out/model.tflite --on pi --threads sweep --duration 10s --json
    """
    from toolkit.bench import BenchSettings, bench
    from toolkit.project import find_target

    target = find_target(name)
    with output.progress() as show:
        measurement = bench(file, target, BenchSettings(threads, duration_s, wheelhouse), show)
    if as_json:
        output.print_json({"schema": 1, "targets": [as_plain(measurement)]})
    else:
        show_measurement(measurement)
    return exit_code(measurement)


def exit_code(measurement: Measurement) -> int:
    """Return what a measurement means for a script."""
    if measurement.parity.verdict == "DIFFERS":
        return EXIT_REFUSED
    return 0 if measurement.best.verdict.kind == "VALID" else EXIT_NOT_TRUSTED


def as_plain(measurement: Measurement) -> dict[str, Any]:
    """Return one entry of `targets` in the JSON; documented in docs/bench.md."""
    best = measurement.best
    return {
        "name": measurement.target,
        "place": measurement.place,
        "model": str(measurement.model),
        "model_sha256": measurement.model_sha256,
        **_plain_row(best),
        "runtime": str(measurement.kernel_class),
        "board": {key: measurement.facts[key] for key in ("model", "machine", "os", "python")},
        "load_us": _first(best, "load_ns"),
        "allocate_us": _first(best, "allocate_ns"),
        "first_invoke_us": _first(best, "first_invoke_ns"),
        "peak_rss_bytes": max(run.run.peak_rss_bytes for run in best.runs),
        "parity": _plain_parity(measurement.parity),
        "rows": [_plain_row(row) for row in measurement.rows],
    }


def _plain_row(row: Row) -> dict[str, Any]:
    figure = row.latency
    percentiles = {f"invoke_p{p}_us": value for p, value in figure.percentiles_us.items()}
    return {
        "threads": row.threads,
        "verdict": row.verdict.kind,
        "reasons": list(row.verdict.reasons),
        "invoke_median_us": figure.median_us,
        "invoke_ci_us": list(figure.interval_us),
        "confidence": figure.confidence,
        "processes": len(figure.process_medians_us),
        "samples": figure.samples,
        "invoke_min_us": figure.fastest_us,
        "invoke_max_us": figure.slowest_us,
        **percentiles,
    }


def _plain_parity(parity: Parity) -> dict[str, Any]:
    plain = dict(vars(parity), host=str(parity.host), board=str(parity.board))
    if parity.accuracy_interval is not None:
        plain["accuracy_interval"] = list(parity.accuracy_interval)
    return plain


def _first(row: Row, field: str) -> float:
    """The median over the fresh processes of what each does once; microseconds."""
    from statistics import median

    return float(median(getattr(run.run, field) for run in row.runs)) / 1e3


def show_measurement(measurement: Measurement) -> None:
    """Print a measurement: the verdict first."""
    best = measurement.best
    for row in measurement.rows:
        reasons = "".join(f"\n    {reason}" for reason in row.verdict.reasons)
        output.say(f"{row.verdict.kind} with {row.threads} thread(s){reasons}")
    output.table(
        f"{measurement.model} on {measurement.place}: {measurement.kernel_class}",
        ["threads", "median", "97 % interval", "p90", "p99", "largest seen", "samples"],
        [_shown_row(row) for row in measurement.rows],
    )
    load, first = _first(best, "load_ns"), _first(best, "first_invoke_ns")
    peak = output.size(max(run.run.peak_rss_bytes for run in best.runs))
    output.say(
        f"load {output.duration(load)} · first inference {output.duration(first)} · "
        f"peak memory of the process {peak}"
    )
    show_parity(measurement.parity)
    if len(measurement.rows) > 1:
        output.say(f"best: --threads {best.threads}")


def _shown_row(row: Row) -> list[str]:
    figure = row.latency
    low, high = figure.interval_us
    percentiles = [
        output.duration(value) if value is not None else "too few samples"
        for value in (figure.percentiles_us[90], figure.percentiles_us[99])
    ]
    return [
        str(row.threads),
        output.duration(figure.median_us),
        f"{output.duration(low)} to {output.duration(high)}",
        *percentiles,
        output.duration(figure.slowest_us),
        str(figure.samples),
    ]


def show_parity(parity: Parity) -> None:
    """Print how a board's outputs compare with the host's."""
    kind = "held-out" if parity.real_inputs else "random"
    output.say(f"outputs {parity.verdict} over {parity.samples} {kind} inputs: {parity.reason}")
    output.say(
        f"    largest difference {parity.largest_difference:g}, beyond 1 step "
        f"{output.percent(parity.beyond_one)}, same decision {output.percent(parity.agreement)}"
    )
    if parity.board_accuracy is not None and parity.host_accuracy is not None:
        output.say(
            f"    accuracy on the board {output.percent(parity.board_accuracy)}, "
            f"on this host {output.percent(parity.host_accuracy)}"
        )
