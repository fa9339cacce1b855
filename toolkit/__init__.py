"""kedge in Python: each function is what stands behind the command of the same name.

    import toolkit
    from pathlib import Path

    request = toolkit.ConversionRequest(Path("model.h5"), Path("data.npz"), "qat_w8a8", Path("out"))
    conversion = toolkit.convert(request)
    measurement = toolkit.bench(conversion.model, toolkit.find_target("pi"))
    print(measurement.best.latency.median_us, measurement.parity.verdict)
    document = toolkit.plain_measurement(measurement)  # an entry of `targets` in the JSON of bench

Every error that a caller may meet has `hint`, what to do next, and `exit_code`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from converters.evidence.conversion import Conversion
    from converters.process import convert
    from converters.request import ConversionRequest
    from targets.inventory import Target
    from toolkit.deploy import Deployment, deploy, push
    from toolkit.measure.bench import BenchSettings, Measurement, bench
    from toolkit.project import find_target
    from toolkit.report.comparison import plain_latency_comparison
    from toolkit.report.measurement import plain_measurement
    from toolkit.report.tuning import plain_tuning

__all__ = [
    "BenchSettings",
    "Conversion",
    "ConversionRequest",
    "Deployment",
    "Measurement",
    "Target",
    "bench",
    "convert",
    "deploy",
    "find_target",
    "plain_latency_comparison",
    "plain_measurement",
    "plain_tuning",
    "push",
]

_HOMES = {
    "BenchSettings": "toolkit.measure.bench",
    "Conversion": "converters.evidence.conversion",
    "ConversionRequest": "converters.request",
    "Deployment": "toolkit.deploy",
    "Measurement": "toolkit.measure.bench",
    "Target": "targets.inventory",
    "bench": "toolkit.measure.bench",
    "convert": "converters.process",
    "deploy": "toolkit.deploy",
    "find_target": "toolkit.project",
    "plain_latency_comparison": "toolkit.report.comparison",
    "plain_measurement": "toolkit.report.measurement",
    "plain_tuning": "toolkit.report.tuning",
    "push": "toolkit.deploy",
}


def __dir__() -> list[str]:
    """Name the parts, also those that are not loaded yet."""
    return sorted(__all__)


def __getattr__(name: str) -> object:
    """Load a part when it is first used: `kedge --help` must not wait for numpy and a runtime."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
