"""The plain form of a measurement, for its JSON and for SQLite. Pure."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

from device_agent.contract.runtimes import RUNTIME_FORMATS, distribution_of
from toolkit.report.accuracy import plain_accuracy
from toolkit.report.op_times import plain_op_times

if TYPE_CHECKING:
    from device_agent.contract.placement import Placement
    from toolkit.judge.pace import Pace
    from toolkit.judge.parity import Parity
    from toolkit.judge.row import Row
    from toolkit.judge.soak import Soak
    from toolkit.measure.bench import Measurement


def plain_measurement(measurement: Measurement) -> dict[str, Any]:
    """Return one entry of `targets` in the JSON; documented in docs/bench.md."""
    best = measurement.best
    return {
        "name": measurement.target,
        "place": measurement.place,
        "model": str(measurement.model),
        "model_sha256": measurement.model_sha256,
        **plain_row(best),
        "format": RUNTIME_FORMATS.get(distribution_of(measurement.kernel_class.runtime), ""),
        "runtime": str(measurement.kernel_class),
        **_identity(measurement),
        "quality": measurement.settings.quality,
        "seed": measurement.settings.seed,
        "connect_us": _microseconds(measurement.connect_s),
        "push_us": _microseconds(measurement.push_s),
        "parity": plain_parity(measurement.parity),
        "state": measurement.state,
        "overridden": list(measurement.overridden),
        "accuracy": plain_accuracy(measurement.accuracy),
        "op_times": plain_op_times(measurement.op_times),
        "interrupted": measurement.interrupted,
        "failure": None if measurement.failure is None else str(measurement.failure).split("\n")[0],
        "rows": [plain_row(row) for row in measurement.rows],
    }


def _identity(measurement: Measurement) -> dict[str, Any]:
    facts = measurement.facts
    return {
        "board": {
            "model": facts.model,
            "machine": facts.machine,
            "os": facts.os,
            "python": facts.python,
        },
        "board_kernel": facts.kernel or None,
        "boot_id": facts.boot_id or None,
        "agent_sha256": facts.agent_sha256 or None,
        "model_bytes": measurement.staged.size_bytes,
    }


def plain_row(row: Row) -> dict[str, Any]:
    """Return one entry of `rows` in the JSON."""
    figure = row.latency
    percentiles = {f"invoke_p{p}_us": value for p, value in figure.percentiles_us.items()}
    return {
        "threads": row.threads,
        "streams": row.streams,
        "inferences_per_second": row.throughput.per_second,
        "inferences_per_second_ci": list(row.throughput.interval),
        "verdict": row.verdict.kind,
        "reasons": list(row.verdict.reasons),
        "warnings": list(row.verdict.warnings),
        "invoke_median_us": figure.median_us,
        "invoke_ci_us": list(figure.interval_us),
        "confidence": figure.confidence,
        "processes": len(figure.process_medians_us),
        "samples": figure.samples,
        "invoke_min_us": figure.fastest_us,
        "invoke_max_us": figure.slowest_us,
        **percentiles,
        "invoke_mean_us": figure.mean_us,
        "invoke_sd_us": figure.sd_us,
        "invoke_mad_us": figure.mad_us,
        "outliers": asdict(figure.outliers),
        "effective_cores": row.effective_cores,
        "cores": row.runs[0].run.cores,
        "placement": _plain_placement(row.runs[0].run.placement),
        "end_to_end_median_us": row.end_to_end.median_us,
        "end_to_end_ci_us": list(row.end_to_end.interval_us),
        **_phases(row),
        **_memory(row),
        "pace": _plain_pace(row.pace) if row.pace else None,
        "soak": _plain_soak(row.soak) if row.soak else None,
        "energy": asdict(row.energy) if row.energy else None,
    }


def _plain_placement(placement: Placement | None) -> dict[str, Any] | None:
    """Operators by executor; `None` where the runtime does not tell."""
    if placement is None:
        return None
    return {"text": str(placement), "ops": placement.ops, "delegate": placement.delegate}


def _phases(row: Row) -> dict[str, Any]:
    """Median over the fresh processes of each phase that a process has once."""
    names = ("import", "load", "allocate", "first_invoke", "warmup")
    phases = {f"{name}_us": median_us(row, f"{name}_ns") for name in names}
    return {**phases, "steady_us": sum(run.run.wall_ns for run in row.runs) / 1e3}


def _memory(row: Row) -> dict[str, Any]:
    return {
        "before_load_rss_bytes": max(run.run.before_load_rss_bytes for run in row.runs),
        "load_peak_rss_bytes": max(run.run.load_peak_rss_bytes for run in row.runs),
        "peak_rss_bytes": max(run.run.peak_rss_bytes for run in row.runs),
        "arena_bytes": None,  # no runtime's Python tells it
    }


def _plain_pace(pace: Pace) -> dict[str, Any]:
    response = pace.response
    return {
        "rate_hz": pace.rate_hz,
        "requests": pace.requests,
        "missed": pace.missed,
        "unserved": pace.unserved,
        "response_median_us": response.median_us,
        "response_ci_us": list(response.interval_us),
        **{f"response_p{p}_us": value for p, value in response.percentiles_us.items()},
        "response_max_us": response.slowest_us,
        "back_to_back_us": pace.back_to_back_us,
    }


def _plain_soak(soak: Soak) -> dict[str, Any]:
    memory, latency = soak.memory, soak.latency
    return {
        "verdict": list(soak.verdict),
        "duration_s": soak.duration_s,
        "runs": soak.runs,
        "kept": soak.samples,
        "memory_start_bytes": soak.memory_start_bytes,
        "memory_end_bytes": soak.memory_end_bytes,
        "memory_bytes_per_hour": memory.slope if memory else None,
        "memory_ci_bytes_per_hour": list(memory.interval) if memory else None,
        "memory_chance": memory.chance if memory else None,
        "latency_us_per_hour": latency.slope if latency else None,
        "latency_ci_us_per_hour": list(latency.interval) if latency else None,
        "latency_chance": latency.chance if latency else None,
    }


def plain_parity(parity: Parity) -> dict[str, Any]:
    """Return what the JSON and a stored result call `parity`."""
    plain = dict(vars(parity), host=str(parity.host), board=str(parity.board))
    if parity.accuracy_interval is not None:
        plain["accuracy_interval"] = list(parity.accuracy_interval)
    return plain


def median_us(row: Row, field: str) -> float:
    """Return the median of a phase that each fresh process has once, in microseconds.

    Args:
        row: Row of a measurement.
        field: Field of `ProcessRun` in nanoseconds, such as `load_ns`.
    """
    return float(median(getattr(run.run, field) for run in row.runs)) / 1e3


def _microseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1e6 * seconds
