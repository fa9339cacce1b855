"""What the agent reports about a run: plain facts, no statistics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

#: The runtimes an agent can drive: distribution name to the module that holds `Interpreter`.
RUNTIME_MODULES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
}


@dataclass(frozen=True)
class KernelClass:
    """What decides the last bit of an output: equal classes must agree bit for bit.

    An int8 result depends on the instruction set's rounding and on the kernel library, so
    DESIGN compares within a class exactly and across classes statistically.
    """

    machine: str
    """Architecture of the userland: `x86_64`, `aarch64`, `armv7l`."""
    runtime: str
    """Distribution name of the runtime."""
    version: str
    """Its version."""

    def __str__(self) -> str:
        return "{} {} on {}".format(self.runtime, self.version, self.machine)


@dataclass(frozen=True)
class TensorFile:
    """A tensor that lies on the board as a file of raw little-endian values."""

    name: str
    """The tensor's name in the model."""
    dtype: str
    """Numpy's name of the type, such as `int8`."""
    shape: List[int]
    """Shape of all samples together: `(samples, ...)`."""
    sha256: str
    """Digest of the file; the file is addressed by it."""


@dataclass(frozen=True)
class Conditions:
    """What the board was doing at one moment; `None` where the board does not tell."""

    load_1min: Optional[float] = None
    """Load average of the last minute."""
    running_tasks: Optional[int] = None
    """Tasks that run or wait for a CPU now, ours included."""
    memory_available_bytes: Optional[int] = None
    swap_used_bytes: Optional[int] = None
    governors: List[str] = field(default_factory=list)
    """The distinct frequency governors of the CPUs."""
    frequency_khz: Dict[str, int] = field(default_factory=dict)
    """Current frequency by CPU name (`cpu0`)."""
    max_frequency_khz: Dict[str, int] = field(default_factory=dict)
    temperature_celsius: Dict[str, float] = field(default_factory=dict)
    """By thermal zone."""
    throttled: Optional[int] = None
    """Raspberry Pi's `get_throttled` bits: 0 under-voltage, 1 capped, 2 throttled, 3 soft limit."""


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


def to_json(record: Any) -> Dict[str, Any]:
    """Turn one of the records above into what `json.dumps` takes."""
    return {
        name: to_json(value) if hasattr(value, "__dataclass_fields__") else value
        for name, value in vars(record).items()
    }


def conditions_from_json(fields: Dict[str, Any]) -> Conditions:
    """Read `Conditions`, passing over what a newer agent may have added."""
    known = Conditions.__dataclass_fields__
    return Conditions(**{name: value for name, value in fields.items() if name in known})


def process_run_from_json(fields: Dict[str, Any]) -> ProcessRun:
    """Read a `ProcessRun`, passing over what a newer agent may have added."""
    known = ProcessRun.__dataclass_fields__
    values = {name: value for name, value in fields.items() if name in known}
    values["kernel_class"] = KernelClass(**fields["kernel_class"])
    return ProcessRun(**values)
