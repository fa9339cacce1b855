"""How a measurement is shown: a table for a person, JSON for a program, a code for a script."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from toolkit.cli import output

if TYPE_CHECKING:
    from toolkit.bench import Measurement, Row
    from toolkit.parity import Parity

EXIT_REFUSED = 8
EXIT_NOT_TRUSTED = 9

#: Over many targets the first of these that occurs is the exit code: what needs a person first.
_GRAVEST_FIRST = (1, 5, 8, 7, 6, 4, 3, 9, 0)


def gravest(codes: Iterable[int]) -> int:
    """Return the exit code of many targets together."""
    return min(codes, key=_GRAVEST_FIRST.index)


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
        "load_peak_rss_bytes": max(run.run.load_peak_rss_bytes for run in best.runs),
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
        "end_to_end_median_us": row.end_to_end.median_us,
        "end_to_end_ci_us": list(row.end_to_end.interval_us),
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
        f"{output.path(measurement.model)} on {measurement.place}: {measurement.kernel_class}",
        ["threads", "invoke", "97 % interval", "p90", "p99", "largest", "samples", "end to end"],
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
        output.duration(row.end_to_end.median_us),
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
