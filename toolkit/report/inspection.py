"""Figures of a model file: their plain form and their tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from converters.inspection import (
    FLOAT_BY_INTEGER_WEIGHTS,
    ModelFigures,
    OperatorFigures,
    QuantizationCoverage,
)
from device_agent.contract.runtimes import TENSORRT, distribution_of
from toolkit.report import words
from toolkit.report.tables import Block, Note, Table

if TYPE_CHECKING:
    from converters.predicted_placement import EdgetpuPlacement
    from toolkit.contract import RunPlace, RuntimeContract, TimeEstimate

#: Number of the costliest operators that are shown; all are in the JSON.
MOST_SHOWN = 10
#: Number of operators on the CPU that are shown.
_MOST_ON_CPU = 20


def plain_operator(operator: OperatorFigures) -> dict[str, Any]:
    """Return one operator for a program."""
    plain = asdict(operator)
    plain["output"] = operator.outputs[0].name if operator.outputs else ""
    return {**plain, "arithmetic": operator.arithmetic}


def plain_totals(figures: ModelFigures, coverage: QuantizationCoverage) -> dict[str, Any]:
    """Return what a file costs in all, for a program."""
    main = figures.main_operators
    return {
        "operators": figures.count,
        "parameters": figures.parameters,
        "macs": figures.macs,
        "uncounted": list(figures.uncounted),
        "bytes_read": sum(operator.bytes_read for operator in main),
        "bytes_written": sum(operator.bytes_written for operator in main),
        "peak_activation_bytes": figures.peak_tensor_bytes,
        "quantization": {
            "integer_operators": coverage.integer_operators,
            "float_operators": len(coverage.float_operators),
            "float_share_of_macs": coverage.float_share_of_macs,
            "float": [
                {"subgraph": each.subgraph, "number": each.number, "op": each.op,
                 "layer": each.layer, "macs": each.macs, "reason": _why_float(each)}
                for each in coverage.float_operators
            ],
        },
    }  # fmt: skip


def describe_totals(figures: ModelFigures, coverage: QuantizationCoverage) -> list[Block]:
    """Return totals, quantization coverage, and the costliest operators."""
    main = figures.main_operators
    moved = sum(operator.bytes_read + operator.bytes_written for operator in main)
    rows = [
        ["operators", f"{figures.count:,}"],
        ["parameters", f"{figures.parameters:,}"],
        ["multiply-accumulates", f"{figures.macs:,}"],
        ["bytes read and written", words.size(moved)],
        ["peak of activations", words.size(figures.peak_tensor_bytes)],
    ]
    blocks: list[Block] = [Table("", ["one inference", ""], rows)]
    if figures.uncounted:
        blocks.append(Note(f"not in the multiply-accumulates: {', '.join(figures.uncounted)}"))
    return [*blocks, *_describe_coverage(coverage), *_describe_costliest(figures)]


def _describe_coverage(coverage: QuantizationCoverage) -> list[Block]:
    integers, floats = coverage.integer_operators, coverage.float_operators
    share = f" ({words.percent(coverage.float_share_of_macs)} of the multiply-accumulates)"
    blocks: list[Block] = [
        f"quantization: operators that compute with integers: {integers:,}; with floats: "
        f"{len(floats):,}{share if floats else ''}"
    ]
    if not floats:
        return blocks
    if integers:
        rows = [
            [_title(each), words.end_of(each.layer), f"{each.macs:,}", _why_float(each)]
            for each in floats[:MOST_SHOWN]
        ]
        columns = ["float operator", "layer", "multiply-accumulates", "reason"]
        blocks.append(Table("", columns, rows, ["layer"]))
    blocks.append(
        "float operators move four times the bytes of int8 ones, use none of a CPU's 8-bit "
        "instructions, and end the block of an Edge TPU; kedge convert --recipe ptq_w8a8 or "
        "qat_w8a8 makes them integer"
    )
    return blocks


def _why_float(operator: OperatorFigures) -> str:
    if operator.arithmetic == FLOAT_BY_INTEGER_WEIGHTS:
        return "dynamic range: integer weights, float activations"
    types = sorted({t.dtype for t in (*operator.inputs, *operator.outputs) if "float" in t.dtype})
    return f"its tensors are {' and '.join(types)}"


def _describe_costliest(figures: ModelFigures) -> list[Block]:
    def cost(operator: OperatorFigures) -> tuple[int, int]:
        return operator.macs, operator.bytes_read + operator.bytes_written

    total = max(1, sum(operator.macs for operator in figures.operators))
    costliest = sorted(figures.operators, key=cost, reverse=True)[:MOST_SHOWN]
    rows = [
        [
            _title(each),
            words.end_of(each.layer),
            f"{each.macs:,}",
            words.percent(each.macs / total),
            f"{each.parameters:,}",
            words.size(each.bytes_read + each.bytes_written),
            str(list(each.outputs[0].shape)) if each.outputs else "",
        ]
        for each in costliest
    ]
    title = ""
    if len(figures.operators) > len(costliest):
        title = f"the costliest {len(costliest)} of {len(figures.operators)} (--json shows all)"
    columns = [
        "operator",
        "layer",
        "multiply-accumulates",
        "share",
        "parameters",
        "bytes",
        "output",
    ]
    return [Table(title, columns, rows, ["output", "bytes", "parameters", "layer"])]


def _title(operator: OperatorFigures) -> str:
    where = f"{operator.subgraph}." if operator.subgraph else ""
    return f"{where}{operator.number}: {operator.op}"


def plain_contract(contract: RuntimeContract) -> dict[str, Any]:
    """Return the answer about a runtime for a program."""
    place = contract.place
    return {
        "place": place.name,
        "runtime": place.runtime or None,
        "runtime_version": place.version or None,
        "loads": not contract.reasons if place.runtime else None,
        "reasons": list(contract.reasons),
        "fix": contract.fix or None,
    }


def describe_contract(contract: RuntimeContract) -> list[Block]:
    """Return whether the runtime of a place loads the file, and what to do if not."""
    place = contract.place
    if not place.runtime:
        return [f"{place.name}: its runtime depends on its system; `kedge inspect --for NAME` "
                "reads a board"]  # fmt: skip
    runtime = f"{place.runtime} {place.version}"
    name = "" if place.name == f"{place.runtime}=={place.version}" else f"{place.name}: "
    if not contract.reasons and distribution_of(place.runtime) == TENSORRT:
        return [f"{name}{runtime}: nothing that is known keeps it away; only the board shows, when "
                "it builds the engine, whether it takes every node"]  # fmt: skip
    if not contract.reasons:
        return [f"{name}{runtime} loads it"]
    reasons = [f"  {reason}" for reason in contract.reasons]
    return [f"{name}{runtime} does not load it:", *reasons, f"  → {contract.fix}"]


def plain_estimates(place: RunPlace, estimates: tuple[TimeEstimate, ...]) -> dict[str, Any] | None:
    """Return estimates of time for a program; None where no source gives the speed of a board."""
    if place.roofline is None:
        return None
    return {
        "kind": "estimate",
        "model": "roofline",
        "source": place.roofline.source,
        "rows": [asdict(estimate) for estimate in estimates],
    }


def describe_estimates(place: RunPlace, estimates: tuple[TimeEstimate, ...]) -> list[Block]:
    """Return estimates of time, marked as such."""
    if place.roofline is None:
        return []
    lines: list[Block] = [
        f"estimate, not measured: at least {words.duration(1e6 * estimate.seconds)} with "
        f"{words.count_of('thread', estimate.threads)} (roofline; "
        f"{words.percent(estimate.share_bound_by_memory)} of it waits for memory)"
        for estimate in estimates
    ]
    return [*lines, f"  speed of {place.name}: {place.roofline.source}"]


def plain_placement(placement: EdgetpuPlacement) -> dict[str, Any]:
    """Return the predicted placement for a program."""
    first = placement.first_break
    return {
        "kind": "prediction",
        "mapped": placement.mapped_count,
        "operators": [asdict(operator) for operator in placement.operators],
        "first_break": None if first is None else first.number,
        "cpu_share_of_macs": placement.cpu_share_of_macs,
        "parameter_bytes": placement.parameter_bytes,
        "exceeds_cache": placement.exceeds_cache,
    }


def describe_placement(placement: EdgetpuPlacement) -> list[Block]:
    """Return which operators the Edge TPU will take, and cause and fix for each of the others."""
    on_cpu = [each for each in placement.operators if each.reason]
    blocks: list[Block] = [
        f"Edge TPU, predicted: {placement.mapped_count} of {len(placement.operators)} operators on "
        f"it, {words.percent(placement.cpu_share_of_macs)} of the multiply-accumulates on the CPU"
    ]
    first = placement.first_break
    if first is not None:
        blocks.append(f"the first that breaks the chain: {first.number}: {first.op}")
    if placement.exceeds_cache:
        blocks.append(f"its parameters ({words.size(placement.parameter_bytes)}) exceed the memory "
                      "on the chip: some are sent anew for each inference")  # fmt: skip
    if on_cpu:
        rows = [
            [
                f"{each.number}: {each.op}",
                each.reason + (f" (learnt from {each.learnt_from})" if each.learnt_from else ""),
                each.fix,
                words.end_of(each.layer),
            ]
            for each in on_cpu[:_MOST_ON_CPU]
        ]
        title = ""
        if len(on_cpu) > len(rows):
            title = f"the first {len(rows)} of {len(on_cpu)} on the CPU (--json shows all)"
        columns = ["on the CPU", "cause", "fix", "layer"]
        blocks.append(Table(title, columns, rows, ["layer"]))
    return blocks
