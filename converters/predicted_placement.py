"""Where each operator of a model will run on a board with an Edge TPU, as it is predicted."""

from __future__ import annotations

from dataclasses import dataclass

#: Memory for parameters on the chip that logs of the compiler showed as usable, of 8 MiB.
USABLE_CACHE_BYTES = int(6.8 * 2**20)

EDGETPU, CPU = "Edge TPU", "CPU"


@dataclass(frozen=True)
class PredictedOperator:
    """One operator, and where it will run."""

    number: int
    """Position in the file, from 0."""
    op: str
    layer: str
    """Name of its output; may be empty."""
    macs: int
    executor: str
    """`EDGETPU` or `CPU`."""
    reason: str
    """Reason why it runs on the CPU; "" on the Edge TPU."""
    fix: str
    """Next step for the user; "" where there is none."""
    learnt_from: str
    """Case from which the rule was learnt; "" for a documented rule."""


@dataclass(frozen=True)
class EdgetpuPlacement:
    """Placement of all operators of a file."""

    operators: tuple[PredictedOperator, ...]
    """Operators in the order in which they run."""
    parameter_bytes: int
    """Size of the constants of the operators on the Edge TPU."""

    @property
    def mapped_count(self) -> int:
        """Number of operators on the Edge TPU."""
        return sum(operator.executor == EDGETPU for operator in self.operators)

    @property
    def first_break(self) -> PredictedOperator | None:
        """First operator behind the block of the Edge TPU; `None` where the block is the rest."""
        is_inside = False
        for operator in self.operators:
            if operator.executor == EDGETPU:
                is_inside = True
            elif is_inside or not self.mapped_count:
                return operator
        return None

    @property
    def cpu_share_of_macs(self) -> float:
        """Share of the multiply-accumulates that stay on the CPU, 0-1."""
        total = sum(operator.macs for operator in self.operators)
        left = sum(operator.macs for operator in self.operators if operator.executor == CPU)
        return left / total if total else float(self.mapped_count < len(self.operators))

    @property
    def exceeds_cache(self) -> bool:
        """Whether parameters will be sent anew for each inference."""
        return self.parameter_bytes > USABLE_CACHE_BYTES
