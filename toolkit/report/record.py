"""What is kept of a measurement: the plain forms that identify a result beside its samples."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from converters.evidence.conversion import recipe_of_file
from toolkit.judge.parity import not_compared
from toolkit.measure.bench import Measurement
from toolkit.measure.compare import ArmMeasurement, LatencyComparison
from toolkit.report.accuracy import plain_accuracy
from toolkit.report.measurement import plain_parity
from toolkit.report.op_times import stored_op_times
from toolkit.results.record import ResultRecord


def records_of_measurement(measurement: Measurement) -> list[ResultRecord]:
    """Return one record for each row of a measurement."""
    document = {
        **_origin(),
        "recipe": recipe_of_file(measurement.model, measurement.model_sha256),
        "place": measurement.place,
        "facts": measurement.facts.plain,
        "model_bytes": measurement.staged.size_bytes,
        "connect_s": measurement.connect_s,
        "push_s": measurement.push_s,
        "parity": plain_parity(measurement.parity),
        "settings": _plain_settings(measurement),
        "accuracy": plain_accuracy(measurement.accuracy),
    }
    return [
        ResultRecord(
            target=measurement.target,
            model=str(measurement.model),
            model_sha256=measurement.model_sha256,
            runtime=str(measurement.kernel_class),
            row=row,
            document={
                **document,
                "streams": row.streams,
                # They are of one thread, whatever the rows are: the first row has them.
                "op_times": None if position else stored_op_times(measurement.op_times),
            },
        )
        for position, row in enumerate(measurement.rows)
    ]


def records_of_comparison(comparison: LatencyComparison) -> list[ResultRecord]:
    """Return one record for each arm that was measured for a comparison."""
    measurements = (comparison.first.measurement, comparison.second.measurement)
    return [_record_of_arm(comparison, arm) for arm in measurements if arm is not None]


def _record_of_arm(comparison: LatencyComparison, arm: ArmMeasurement) -> ResultRecord:
    parity = not_compared(arm.host, arm.kernel_class, "only the latency was compared")
    return ResultRecord(
        target=comparison.target,
        model=str(arm.model),
        model_sha256=arm.model_sha256,
        runtime=str(arm.kernel_class),
        row=arm.row,
        document={
            **_origin(),
            "recipe": recipe_of_file(arm.model, arm.model_sha256),
            "place": comparison.place,
            "facts": arm.facts.plain,
            "model_bytes": arm.staged.size_bytes,
            "connect_s": None,
            "push_s": None,
            "parity": plain_parity(parity),
            "settings": {
                "threads": [arm.row.threads],
                "duration_s": arm.duration_s,
                "wheelhouse": None,
                "processes": arm.processes,
                "quality": "standard",
                "rate_hz": 0.0,
                "soak_s": 0.0,
                "streams": [],
                "seed": arm.seed,
                "profile": False,
                "data": None,
                "force": False,
            },
            "accuracy": None,
            "streams": 1,
            "op_times": None,
        },
    )


def _origin() -> dict[str, Any]:
    host = {
        "name": platform.node(),
        "machine": platform.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    return {"kedge": version("kedge"), "host": host}


def _plain_settings(measurement: Measurement) -> dict[str, Any]:
    plain = asdict(measurement.settings)
    paths = ("wheelhouse", "data")
    return plain | {name: None if plain[name] is None else str(plain[name]) for name in paths}
