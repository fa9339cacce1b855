"""Mixed precision: 8 bits but for the layers that they ruin, which are found by measurement.

Each layer is first quantized alone: the noise in the model's output is then its own doing. Then
all are, and layers go back to floats, the noisiest first, until the accuracy on the validation
samples is within the budget; those that the budget does not need after all are quantized again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from converters.draft import MIXED, W8A8, Draft, Materials
from converters.progress import Progress, Report
from converters.quantize.fidelity import Fidelity, Judge
from converters.quantize.float_file import float_file
from converters.quantize.integer_file import int8_file
from converters.quantize.ptq import Prepared, judge_of, prepare, with_calibration
from converters.steps import MixedW8A8
from converters.tflite.unpacked import Unpacked

#: What only moves numbers: it adds no noise of its own.
_MOVES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "PACK")
#: So many layers are named in a warning; all are in conversion.json.
_NAMED = 3


@dataclass(frozen=True)
class Sensitivity:
    """A layer that was quantized alone.

    Attributes:
        layer: Name of the tensor that it gives.
        op: Such as "CONV_2D".
        accuracy: Of the model then, 0-1.
        sqnr_db: Signal to quantization noise of the model's output then.
    """

    layer: str
    op: str
    accuracy: float
    sqnr_db: float


def quantize_mixed(draft: Draft, step: MixedW8A8, materials: Materials) -> Draft:
    """Quantize what can be; what of a model stays in floats is told in a warning.

    Args:
        draft: A float model.
        step: How to measure ranges, and the budget.
        materials: With the splits "calibration" and "validation".

    Raises:
        ConversionError: TensorFlow refuses the model.
    """
    content = float_file(draft, materials.report)
    judge = judge_of(content, materials)
    prepared = prepare(content, step, materials, judge)

    def made(floats: Sequence[str]) -> bytes:
        return int8_file(prepared.content, prepared.ranges, step.io, floats)

    eight_bits = made(())
    only_floats = float_ops(eight_bits)
    whole = judge(eight_bits)
    within = _within(judge, step.max_drop)
    table: tuple[Sensitivity, ...] = ()
    floats: tuple[str, ...] = ()
    reached = whole
    if not within(whole):
        table = sensitivities(prepared, made, judge, materials.report)
        floats, reached = chosen(table, lambda kept: judge(made(kept)), within)
    told = {
        **prepared.found,
        "max_drop": step.max_drop,
        "drop_all_int8": round(judge.accuracy - whole.accuracy, 4),
        "drop": round(judge.accuracy - reached.accuracy, 4),
        "layers_in_floats": [vars(row) for row in table if row.layer in floats],
        "layers": [vars(row) for row in table],
    }
    counted = with_calibration(draft, step.calibration_samples, materials, told)
    return replace(
        counted,
        content=made(floats),
        numbers=MIXED if floats or only_floats else W8A8,
        io=step.io,
        warnings=counted.warnings
        + _told_of_ops(only_floats)
        + _told(table, floats, judge, whole, reached, step.max_drop),
    )


def float_ops(content: bytes) -> tuple[str, ...]:
    """Kinds of ops that compute in floats though no layer was to."""
    model = Unpacked(content)
    ops = (op for op in model.operators if any(model.is_float(int(i)) for i in op.outputs))
    return tuple(sorted({model.op(op) for op in ops} - {"DEQUANTIZE"}))


def _told_of_ops(ops: Sequence[str]) -> tuple[str, ...]:
    if not ops:
        return ()
    told = "computed in floats, as TensorFlow's converter does not bring such a layer to 8 bits"
    return (f"{', '.join(ops)}: {told}",)


def sensitivities(
    prepared: Prepared,
    made: Callable[[Sequence[str]], bytes],
    judge: Judge,
    report: Report,
) -> tuple[Sensitivity, ...]:
    """What 8 bits in each layer alone do to the model; the noisiest first.

    Args:
        prepared: The float file and its ranges.
        made: Quantizes it but for the layers of these names.
        judge: Asks files about the validation samples.
        report: Told about each layer.
    """
    model = Unpacked(prepared.content)
    names = [model.name(int(op.outputs[0])) for op in model.operators]
    rows = []
    for position, operator in enumerate(model.operators):
        report(Progress("measure layers", position + 1, len(names)))
        if model.op(operator) in _MOVES:
            continue
        found = judge(made([name for name in names if name != names[position]]))
        rows.append(
            Sensitivity(
                names[position],
                model.op(operator),
                round(found.accuracy, 4),
                round(found.sqnr_db, 2),
            )
        )
    return tuple(sorted(rows, key=lambda row: row.sqnr_db))


def chosen(
    table: Sequence[Sensitivity],
    tried: Callable[[Sequence[str]], Fidelity],
    within: Callable[[Fidelity], bool],
) -> tuple[tuple[str, ...], Fidelity]:
    """Which layers stay in floats, and how the model does then.

    Args:
        table: The noisiest first.
        tried: How it does with these layers in floats.
        within: Whether that is good enough.
    """
    floats: list[str] = []
    reached = tried(floats)
    for row in table:
        if within(reached):
            break
        floats.append(row.layer)
        reached = tried(floats)
    for layer in floats[:-1]:  # the last one brought it within the budget
        without = [other for other in floats if other != layer]
        again = tried(without)
        if within(again):
            floats, reached = without, again
    return tuple(floats), reached


def _within(judge: Judge, max_drop: float) -> Callable[[Fidelity], bool]:
    return lambda found: judge.accuracy - found.accuracy <= max_drop + 1e-9


def _told(
    table: Sequence[Sensitivity],
    floats: Sequence[str],
    judge: Judge,
    whole: Fidelity,
    reached: Fidelity,
    max_drop: float,
) -> tuple[str, ...]:
    if not floats:
        return ()
    rows = [row for row in table if row.layer in floats]
    named = "; ".join(
        f"{row.op} {row.layer.split(';')[0]!r} ({row.sqnr_db:.1f} dB, {row.accuracy:.1%} with it "
        "alone in 8 bits)"
        for row in rows[:_NAMED]
    )
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    told: tuple[str, ...] = (
        f"{len(rows)} of {len(table)} layers stay in floats: {named}{more}; on the validation "
        f"samples {judge.accuracy - whole.accuracy:.1%} would be lost with all in 8 bits, and "
        f"{judge.accuracy - reached.accuracy:.1%} is lost so",
    )
    if not _within(judge, max_drop)(reached):
        told += (f"the budget of {max_drop:.1%} is not held even so: use the recipe ptq_w8a16",)
    return told
