"""How long each operator of a model takes, where a runtime tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, List, Optional

from device_agent.contract.records import read_shown


@dataclass(frozen=True)
class OpTime:
    """One step of an inference, in the order in which they run."""

    op: str
    """Name that the executor gives it; XNNPACK names its kernels, not the model's operators."""
    executor: str
    """`builtin`, `XNNPACK`, or the name of an execution provider of ONNX Runtime."""
    median_us: float
    """Median over the runs. The runtime cuts each time to whole microseconds: shorter steps are
    0."""
    low_us: float = 0.0
    """Lower end of the 95 % interval of the median."""
    high_us: float = 0.0
    """Upper end of the 95 % interval of the median."""
    layer: str = ""
    """Name of the model's layer; empty where it is not known."""
    macs: Optional[int] = None
    """Multiply-accumulates of the step; `None` where they are not known."""


@dataclass(frozen=True)
class OpTimes:
    """All steps of an inference with one thread, on inputs of zeros."""

    steps: List[OpTime] = field(default_factory=list)
    runs: int = 0
    reason: str = ""
    """Why there are none; empty where there are."""
    whole_us: float = 0.0
    """Median of whole runs without the profiler, between the profiled ones."""
    whole_low_us: float = 0.0
    """Lower end of the 95 % interval of that median."""
    whole_high_us: float = 0.0
    """Upper end of the 95 % interval of that median."""
    interrupted: int = 0
    """Number of runs in which the kernel gave the core to another process; they are left out where
    the time allows it."""

    @property
    def total_us(self) -> float:
        """Of all steps."""
        return sum(step.median_us for step in self.steps)


def op_times_from_json(plain: Any) -> OpTimes:
    """Read `OpTimes`, passing over what a newer agent may have added.

    Raises:
        RecordError: A field has another type.
    """
    return read_shown(OpTimes, plain)
