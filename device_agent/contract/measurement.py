"""What the agent reports about a run: plain facts, no statistics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from device_agent.contract.placement import Placement
from device_agent.contract.records import read_shown

#: The timed loop of a process has at least so many runs, however slow one is (MLPerf Tiny asks for
#: ten iterations).
LEAST_RUNS = 10


@dataclass(frozen=True)
class KernelClass:
    """What decides the last bit of an output: equal classes must agree bit for bit.

    An int8 result depends on the instruction set's rounding and on the kernel library, so
    DESIGN compares within a class exactly and across classes statistically.
    """

    machine: str
    """Architecture of the userland: `x86_64`, `aarch64`, `armv7l`."""
    runtime: str
    """Distribution name of the runtime; `board:` in front of one that the board's Python has."""
    version: str
    """Its version."""
    delegate: str = ""
    """`edgetpu`, or the library of another delegate that was loaded; empty without one."""
    cpu_features: str = ""
    """`CPU_FEATURES` of the CPU, with spaces between: they choose among the runtime's kernels."""

    def __str__(self) -> str:
        delegate = " with {}".format(self.delegate) if self.delegate else ""
        return "{} {}{} on {}".format(self.runtime, self.version, delegate, self.machine)


@dataclass(frozen=True)
class ProcessRun:
    """One fresh process that loaded a model and invoked it for a while."""

    kernel_class: KernelClass
    numpy_version: str
    threads: int
    import_ns: int
    """Importing the runtime."""
    load_ns: int
    """Reading the model, building the interpreter."""
    allocate_ns: int
    first_invoke_ns: int
    """The first inference: lazily prepared kernels, cold caches."""
    warmup_runs: int
    cpu_ns: int
    """CPU time of all threads in the timed loop; over wall time: how many cores really worked."""
    wall_ns: int
    peak_rss_bytes: int
    """Peak resident memory of the process."""
    samples: str
    """Digest of the file of the steady samples: unsigned 64-bit little-endian nanoseconds."""
    sample_count: int
    end_to_end: str = ""
    """Digest of the file of end-to-end samples: quantize, set, invoke, get, dequantize."""
    end_to_end_count: int = 0
    load_peak_rss_bytes: int = 0
    """Peak resident memory until the model was ready; `peak_rss_bytes` is of the steady runs."""
    others_cores: float = 0.0
    """How many cores other programs kept busy on average, during warm-up and timed loop."""
    warmup_ns: int = 0
    """How long the warm-up lasted."""
    before_load_rss_bytes: int = 0
    """Resident memory with the runtime imported and no model loaded; 0 is unknown."""
    period_ns: int = 0
    """Time between two requests of a paced run; 0 is back to back."""
    requests: int = 0
    """Number of requests that arrived in a paced run."""
    runs: int = 0
    """Number of runs of the timed loop where not all samples are kept (a soak); else 0."""
    series: Dict[str, str] = field(default_factory=dict)
    """Further files of unsigned 64-bit values by name: `responses` of a paced run; `starts` and
    `memory` of a soak."""

    cores: List[int] = field(default_factory=list)
    """The cores that the process was kept to; empty for all."""
    placement: Optional[Placement] = None
    """Executor of each operator; `None` where the runtime does not report it."""


def to_json(record: Any) -> Dict[str, Any]:
    """Turn one of the records above into what `json.dumps` takes."""
    return {
        name: to_json(value) if hasattr(value, "__dataclass_fields__") else value
        for name, value in vars(record).items()
    }


def process_run_from_json(plain: Any) -> ProcessRun:
    """Read a `ProcessRun`, passing over what a newer agent may have added.

    Raises:
        RecordError: A field is absent or has another type.
    """
    return read_shown(ProcessRun, plain)


def kernel_class_from_json(plain: Any) -> KernelClass:
    """Read a `KernelClass`, passing over what a newer agent may have added.

    Raises:
        RecordError: A field is absent or has another type.
    """
    return read_shown(KernelClass, plain)
