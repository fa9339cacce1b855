"""Where the operators of a model ran: on the runtime's own kernels, or on a delegate.

ONNX Runtime calls what computes an execution provider: its own kernels are those of `CPU`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List

from device_agent.contract.records import read_shown
from device_agent.contract.runtimes import PROVIDER_SUFFIX

#: The runtime's own kernels.
BUILTIN = "builtin"

#: The delegate for CPUs that the runtimes bring and apply by themselves.
XNNPACK = "XNNPACK"

#: The execution provider of ONNX Runtime's own kernels.
CPU = "CPU"


def provider_name(provider: str) -> str:
    """Return the short name of an execution provider, such as `CPU` or `CUDA`."""
    return provider[: -len(PROVIDER_SUFFIX)] if provider.endswith(PROVIDER_SUFFIX) else provider


@dataclass(frozen=True)
class Placement:
    """Which executor computes which operators of a model's main graph."""

    ops: Dict[str, Dict[str, int]]
    """By executor (`builtin`, `XNNPACK`, `CPU` or the name of a delegate or provider), then by
    operator: how many."""
    delegate: str = ""
    """The delegate that was asked for and loaded; empty without one."""

    @property
    def total(self) -> int:
        """All operators."""
        return sum(self.count(executor) for executor in self.ops)

    def count(self, executor: str) -> int:
        """How many operators an executor computes."""
        return sum(self.ops.get(executor, {}).values())

    @property
    def fell_back(self) -> bool:
        """Whether a delegate was loaded and yet computes nothing: the CPU does all, in silence."""
        return bool(self.delegate) and self.count(self.delegate) == 0

    def __str__(self) -> str:
        """Such as `XNNPACK 15 of 16 ops; builtin 1: SOFTMAX`."""
        parts: List[str] = []
        for executor in sorted(self.ops, key=lambda name: (name in (BUILTIN, CPU), name)):
            text = "{} {}".format(executor, self.count(executor))
            if not parts:
                text += " of {} op{}".format(self.total, "" if self.total == 1 else "s")
            if executor in (BUILTIN, CPU) and len(self.ops) > 1:
                names = sorted(self.ops[executor].items())
                told = [name if n == 1 else "{} {}".format(n, name) for name, n in names]
                text += ": " + ", ".join(told)
            parts.append(text)
        return "; ".join(parts) or "no ops"


def placement_from_json(plain: Any) -> Placement:
    """Read a `Placement`, passing over what a newer agent may have added.

    Raises:
        RecordError: A field is absent or has another type.
    """
    return read_shown(Placement, plain)
