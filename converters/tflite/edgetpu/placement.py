"""Predicts which operators of a .tflite the Edge TPU compiler will take.

The compiler makes one block for the Edge TPU: it begins with the first operator that fits, and ends
before the next one that does not. All later operators run on the CPU ("More than one subgraph is
not supported", as its log says).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converters.predicted_placement import CPU, EDGETPU, EdgetpuPlacement, PredictedOperator
from converters.tflite.edgetpu.operator import EdgetpuOperator, edgetpu_operators
from converters.tflite.edgetpu.rules import reason_for_cpu
from converters.tflite.inspection import examine_unpacked


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
