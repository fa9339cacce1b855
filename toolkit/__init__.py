"""kedge in Python: each function does the work of a command.

    import toolkit
    from pathlib import Path

    request = toolkit.ConversionRequest(Path("model.h5"), Path("data.npz"), "qat_w8a8", Path("out"))
    conversion = toolkit.convert(request)
    measurement = toolkit.bench(conversion.model, toolkit.find_target("pi"))
    print(measurement.best.latency.median_us, measurement.parity.verdict)
    document = toolkit.plain_measurement(measurement)  # an entry of `targets` in the JSON of bench

    inventory = toolkit.open_inventory()
    with toolkit.open_results(inventory.path.parent) as results:
        numbers = results.save(toolkit.records_of_measurement(measurement))
        for line in results.lines(target="pi"):
            print(line.id, line.model, line.median_us)

Every error that a caller may meet has `hint`, what to do next, and `exit_code`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from converters.evidence.conversion import Conversion
    from converters.process import convert
    from converters.request import ConversionRequest
    from targets.inventory import Target
    from toolkit.bundle.build import BundleRequest, build_bundle
    from toolkit.bundle.bundle_file import read_bundle, verify_bundle
    from toolkit.check import check_board
    from toolkit.deployment import Deployment, deploy, push
    from toolkit.enrollment import enroll
    from toolkit.measure.bench import BenchSettings, Measurement, bench
    from toolkit.measure.bench_many import bench_many
    from toolkit.measure.compare import (
        CompareSettings,
        compare_models,
        compare_results,
        compare_with_result,
    )
    from toolkit.measure.run import SampleSettings, run_files
    from toolkit.measure.tune import tune_target
    from toolkit.project import find_target, open_inventory
    from toolkit.report.comparison import plain_latency_comparison
    from toolkit.report.measurement import plain_measurement
    from toolkit.report.record import records_of_measurement
    from toolkit.report.run import plain_run
    from toolkit.report.tuning import plain_tuning
    from toolkit.results.store import open_results

__all__ = [
    "BenchSettings",
    "BundleRequest",
    "CompareSettings",
    "Conversion",
    "ConversionRequest",
    "Deployment",
    "Measurement",
    "SampleSettings",
    "Target",
    "bench",
    "bench_many",
    "build_bundle",
    "check_board",
    "compare_models",
    "compare_results",
    "compare_with_result",
    "convert",
    "deploy",
    "enroll",
    "find_target",
    "open_inventory",
    "open_results",
    "plain_latency_comparison",
    "plain_measurement",
    "plain_run",
    "plain_tuning",
    "push",
    "read_bundle",
    "records_of_measurement",
    "run_files",
    "tune_target",
    "verify_bundle",
]

_HOMES = {
    "BenchSettings": "toolkit.measure.bench",
    "BundleRequest": "toolkit.bundle.build",
    "CompareSettings": "toolkit.measure.compare",
    "Conversion": "converters.evidence.conversion",
    "ConversionRequest": "converters.request",
    "Deployment": "toolkit.deployment",
    "Measurement": "toolkit.measure.bench",
    "SampleSettings": "toolkit.measure.run",
    "Target": "targets.inventory",
    "bench": "toolkit.measure.bench",
    "bench_many": "toolkit.measure.bench_many",
    "build_bundle": "toolkit.bundle.build",
    "check_board": "toolkit.check",
    "compare_models": "toolkit.measure.compare",
    "compare_results": "toolkit.measure.compare",
    "compare_with_result": "toolkit.measure.compare",
    "convert": "converters.process",
    "deploy": "toolkit.deployment",
    "enroll": "toolkit.enrollment",
    "find_target": "toolkit.project",
    "open_inventory": "toolkit.project",
    "open_results": "toolkit.results.store",
    "plain_latency_comparison": "toolkit.report.comparison",
    "plain_measurement": "toolkit.report.measurement",
    "plain_run": "toolkit.report.run",
    "plain_tuning": "toolkit.report.tuning",
    "push": "toolkit.deployment",
    "read_bundle": "toolkit.bundle.bundle_file",
    "records_of_measurement": "toolkit.report.record",
    "run_files": "toolkit.measure.run",
    "tune_target": "toolkit.measure.tune",
    "verify_bundle": "toolkit.bundle.bundle_file",
}


def __dir__() -> list[str]:
    """Name the parts, also those that are not loaded yet."""
    return sorted(__all__)


def __getattr__(name: str) -> object:
    """Load a part when it is first used: `kedge --help` must not wait for numpy and a runtime."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
