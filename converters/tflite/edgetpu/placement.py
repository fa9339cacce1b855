"""Predicts which operators of a .tflite the Edge TPU compiler will take.

The compiler makes one block for the Edge TPU: it begins with the first operator that fits, and ends
before the next one that does not. All later operators run on the CPU ("More than one subgraph is
not supported", as its log says).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.tflite.edgetpu.operator import EdgetpuOperator, edgetpu_operators
from converters.tflite.edgetpu.rules import reason_for_cpu
from converters.tflite.inspection import examine_unpacked

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


def predict_placement(path: Path) -> EdgetpuPlacement:
    """Predict where each operator of a file would run once it was compiled.

    Args:
        path: A .tflite that `converters.tflite.reader.read_model` accepted, not compiled yet.

    Raises:
        ConversionError: An operator is damaged.
    """
    return examine_unpacked(path, _place)


def _place(model: Any) -> EdgetpuPlacement:
    operators = edgetpu_operators(model)
    reasons = [reason_for_cpu(operator) for operator in operators]
    begin = next((i for i, (reason, _, _) in enumerate(reasons) if not reason), len(operators))
    end = next((i for i in range(begin, len(operators)) if reasons[i][0]), len(operators))
    predicted = [
        _predicted(operator, reasons[i], begin <= i < end, after=i > end)
        for i, operator in enumerate(operators)
    ]
    return EdgetpuPlacement(tuple(predicted), _parameter_bytes(operators[begin:end]))


def _predicted(
    operator: EdgetpuOperator, why: tuple[str, str, str], on_edgetpu: bool, after: bool
) -> PredictedOperator:
    reason, fix, learnt_from = why
    if on_edgetpu:
        reason = fix = learnt_from = ""
    elif not reason and after:
        reason = "it stands behind an operator that runs on the CPU"
        fix = "Change that operator first."
    return PredictedOperator(
        number=operator.number,
        op=operator.op,
        layer=operator.outputs[0].name if operator.outputs else "",
        macs=operator.macs,
        executor=EDGETPU if on_edgetpu else CPU,
        reason=reason,
        fix=fix,
        learnt_from=learnt_from,
    )


def _parameter_bytes(operators: tuple[EdgetpuOperator, ...]) -> int:
    constants = {
        tensor.name: values.nbytes
        for operator in operators
        for tensor, values in zip(operator.inputs, operator.constants, strict=True)
        if values is not None
    }
    return sum(constants.values())
