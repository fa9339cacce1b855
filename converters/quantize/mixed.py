"""Mixed precision: 8 bits but for the layers that they ruin, which are found by measurement.

Each layer is first quantized alone: the noise in the model's output is then its own doing. Then
all are, and layers go back to floats, the noisiest first, until the accuracy on the validation
samples is within the budget; those that the budget does not need after all are quantized again.
Of those that are left, each gets activations of 16 bits in the place of floats where the budget
allows it: it does not where 8 bits are too few for the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from converters.draft.draft import MIXED, W8A8, Draft, Materials
from converters.errors import ConversionError
from converters.progress import Progress, Report
from converters.quantize.edge_quantizer import with_int16_layers
from converters.quantize.fidelity import Fidelity, Judge
from converters.quantize.float_file import float_file
from converters.quantize.integer_file import int8_file
from converters.quantize.layer_refusals import refuse_recurrent
from converters.quantize.ptq import Prepared, judge_of, prepare, with_calibration
from converters.recipe.number_steps import MixedW8A8
from converters.tflite.unpacked import UnpackedModel

#: What only moves numbers: it adds no noise of its own.
_MOVES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "PACK")
#: So many layers are named in a warning; all are in conversion.json.
_NAMED = 3
#: Two accuracies that differ by less are the same.
_TINY = 1e-9


@dataclass(frozen=True)
class Sensitivity:
    """A layer that was quantized alone."""

    layer: str
    """Name of the tensor that it gives."""
    op: str
    """Such as "CONV_2D"."""
    accuracy: float
    """Of the model then, 0-1."""
    sqnr_db: float
    """Signal to quantization noise of the model's output then."""


@dataclass(frozen=True)
class Mixture:
    """What was chosen."""

    content: bytes
    """The file."""
    floats: tuple[str, ...]
    """Layers that compute in floats."""
    int16: tuple[str, ...]
    """Layers whose activations are of 16 bits."""
    reached: Fidelity
    """How the file does."""


def quantize_mixed(draft: Draft, step: MixedW8A8, materials: Materials) -> Draft:
    """Quantize what can be; what of a model is not of 8 bits is told in a warning.

    Args:
        draft: A float model.
        step: How to measure ranges, and the budget.
        materials: With the splits "calibration" and "validation".

    Raises:
        ConversionError: TensorFlow refuses the model, or a layer of it is recurrent.
    """
    content = float_file(draft, materials.report)
    refuse_recurrent(content, draft.keras_model, str(materials.source.path))
    judge = judge_of(content, materials)
    prepared = prepare(content, step, materials, judge)

    def made(floats: Sequence[str]) -> bytes:
        return int8_file(prepared.content, prepared.ranges, step.io, floats)

    eight_bits = made(())
    only_floats = float_ops(eight_bits)
    whole = judge(eight_bits)
    within = _within(judge, step.max_drop)
    table: tuple[Sensitivity, ...] = ()
    mixture = Mixture(eight_bits, (), (), whole)
    if not within(whole):
        table = sensitivities(prepared, made, judge, materials.report)
        floats, reached = chosen(table, lambda kept: judge(made(kept)), within)
        mixture = Mixture(made(floats), floats, (), reached)
        mixture = with_int16(mixture, prepared, judge, step.max_drop, materials.report)
    told = {
        **prepared.found,
        "max_drop": step.max_drop,
        "drop_all_int8": round(judge.accuracy - whole.accuracy, 4),
        "drop": round(judge.accuracy - mixture.reached.accuracy, 4),
        "layers_in_int16": [vars(row) for row in table if row.layer in mixture.int16],
        "layers_in_floats": [vars(row) for row in table if row.layer in mixture.floats],
        "layers": [vars(row) for row in table],
    }
    counted = with_calibration(draft, step.calibration_samples, materials, told)
    return replace(
        counted,
        content=mixture.content,
        numbers=MIXED if mixture.floats or mixture.int16 or only_floats else W8A8,
        io=step.io,
        warnings=counted.warnings
        + _told_of_ops(only_floats)
        + _told(table, mixture, judge, whole, step.max_drop),
    )


def with_int16(
    floats: Mixture, prepared: Prepared, judge: Judge, max_drop: float, report: Report
) -> Mixture:
    """Give layers 16-bit activations in the place of floats, as long as that costs nothing.

    Args:
        floats: With layers in floats.
        prepared: The float file and its ranges.
        judge: Asks files about the validation samples.
        max_drop: Accuracy that may be lost; where floats do not hold it, none beyond what they do.
        report: Told about each layer.
    """
    names = UnpackedModel(prepared.content)
    ranges = {names.name(tensor): bounds for tensor, bounds in prepared.ranges.items()}
    enough = min(judge.accuracy - max_drop, floats.reached.accuracy) - _TINY
    best = floats
    for done, layer in enumerate(floats.floats, start=1):
        report(Progress("try 16 bits", done, len(floats.floats)))
        try:
            content, int16 = with_int16_layers(floats.content, (*best.int16, layer), ranges)
            reached = judge(content)
        except ConversionError:  # no such kernel, or none that runs
            continue
        if layer in int16 and reached.accuracy >= enough:
            left = tuple(other for other in floats.floats if other not in int16)
            best = Mixture(content, left, int16, reached)
    return best


def float_ops(content: bytes) -> tuple[str, ...]:
    """Kinds of ops that compute in floats though no layer was to."""
    model = UnpackedModel(content)
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
    model = UnpackedModel(prepared.content)
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
    return lambda found: judge.accuracy - found.accuracy <= max_drop + _TINY


def _told(
    table: Sequence[Sensitivity],
    mixture: Mixture,
    judge: Judge,
    whole: Fidelity,
    max_drop: float,
) -> tuple[str, ...]:
    kept = [
        _named(table, layers, how)
        for layers, how in (
            (mixture.int16, "have 16-bit activations"),
            (mixture.floats, "stay in floats"),
        )
        if layers
    ]
    if not kept:
        return ()
    lost = judge.accuracy - mixture.reached.accuracy
    told: tuple[str, ...] = (
        f"{'; '.join(kept)}; on the validation samples {judge.accuracy - whole.accuracy:.1%} would "
        f"be lost with all in 8 bits, and {lost:.1%} is lost so",
    )
    if not _within(judge, max_drop)(mixture.reached):
        told += (f"the budget of {max_drop:.1%} is not held even so: use the recipe ptq_w8a16",)
    return told


def _named(table: Sequence[Sensitivity], layers: Sequence[str], how: str) -> str:
    rows = [row for row in table if row.layer in layers]
    named = "; ".join(
        f"{row.op} {row.layer.split(';')[0]!r} ({row.sqnr_db:.1f} dB, {row.accuracy:.1%} with it "
        "alone in 8 bits)"
        for row in rows[:_NAMED]
    )
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return f"{len(rows)} of {len(table)} layers {how}: {named}{more}"
