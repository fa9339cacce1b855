"""Mixed precision: 8 bits, except for the layers that lose too much; a measurement finds them.

First each layer is quantized alone, so that the noise in the model's output comes from this layer.
Then all layers are quantized, and layers return to floats, the noisiest first, until the accuracy
on the validation samples is within the budget. Layers that the budget does not need in floats after
all are quantized again. Each remaining layer gets 16-bit activations instead of floats if the
budget allows it, which it does not where 8 bits are too few for the weights. The operators of an
unrolled recurrent layer count as one layer, which stays in 8 bits or in floats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from converters.draft.draft import MIXED, W8A8, Draft, Materials
from converters.errors import ConversionError
from converters.progress import Progress, Report
from converters.quantize.alternatives import measure_alternatives, name_alternatives
from converters.quantize.edge_quantizer import add_int16_layers
from converters.quantize.fidelity import Fidelity, Judge
from converters.quantize.kept_layers import KeptTensors, keep_tensors
from converters.quantize.layer_names import float_layer_notes, group_operators
from converters.quantize.ptq import CalibratedFile, add_calibration, make_judge, prepare
from converters.quantize.recurrent import quantizable_file
from converters.recipe.number_steps import MixedW8A8
from converters.tflite.unpacked import UnpackedModel

#: Ops that only move numbers and add no noise of their own.
_MOVES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "PACK")
#: Op of a layer that is several operators, and of an operator that only changes a state.
RECURRENT, _NO_OUTPUT = "RECURRENT", ""
#: Number of layers that a warning names; conversion.json has all of them.
_NAMED = 3
#: Largest difference of two accuracies that count as equal.
_TINY = 1e-9


@dataclass(frozen=True)
class Sensitivity:
    """Effect of 8 bits in one layer alone."""

    layer: str
    """Name of the layer's output tensor, or of a recurrent layer of several operators."""
    op: str
    """Op of the layer, such as "CONV_2D", or "RECURRENT"."""
    accuracy: float
    """Accuracy of the model with only this layer in 8 bits, 0-1."""
    sqnr_db: float
    """Signal to quantization noise ratio of the model's output in decibels, likewise."""


@dataclass(frozen=True)
class Mixture:
    """A file of mixed precision."""

    content: bytes
    """The file."""
    floats: tuple[str, ...]
    """Names of the layers that compute in floats."""
    int16: tuple[str, ...]
    """Names of the layers with 16-bit activations."""
    reached: Fidelity
    """Fidelity of the file to the float file."""


def quantize_mixed(draft: Draft, step: MixedW8A8, materials: Materials) -> Draft:
    """Quantize as many layers as the budget allows; a warning names those that are not in 8 bits.

    Args:
        draft: Float model.
        step: Method to measure ranges, and the budget.
        materials: Samples with the splits "calibration" and "validation".

    Raises:
        ConversionError: TensorFlow refuses the model, or a layer of it is recurrent.
    """
    content = quantizable_file(draft, materials)
    kept = keep_tensors(content, step)
    judge = make_judge(content, materials)
    prepared = prepare(content, step, materials, judge, draft.keras_model)
    float_inputs: tuple[str, ...] = ()
    groups = group_operators(UnpackedModel(prepared.content), draft.keras_model)

    def quantize(floats: Sequence[str]) -> bytes:
        names = [name for layer in floats for name in groups[layer]]
        return prepared.quantize(step.io, [*names, *kept.tensors], float_inputs)

    eight_bits = quantize(())
    float_notes = _float_notes(kept, eight_bits, draft)
    whole = judge(eight_bits)
    within = _within(judge, step.max_drop)
    table: tuple[Sensitivity, ...] = ()
    mixture = Mixture(eight_bits, (), (), whole)
    of_inputs = _input_loss(eight_bits, judge)
    if not within(whole):
        if of_inputs > step.max_drop / 2:
            float_inputs = _float_input_names(prepared.content)
        table = measure_sensitivities(prepared, groups, quantize, judge, materials.report)
        floats, reached = choose_float_layers(table, lambda floats: judge(quantize(floats)), within)
        mixture = Mixture(quantize(floats), floats, (), reached)
        mixture = try_int16(mixture, prepared, judge, step.max_drop, materials.report)
    facts = {
        **prepared.facts,
        "max_drop": step.max_drop,
        "drop_all_int8": round(judge.accuracy - whole.accuracy, 4),
        "drop": round(judge.accuracy - mixture.reached.accuracy, 4),
        "drop_of_input_rounding": round(of_inputs, 4),
        "inputs_in_floats": list(float_inputs),
        "layers_in_int16": [vars(row) for row in table if row.layer in mixture.int16],
        "layers_in_floats": [vars(row) for row in table if row.layer in mixture.floats],
        "layers": [vars(row) for row in table],
    }
    draft_after = add_calibration(draft, step.calibration_samples, materials, facts)
    return replace(
        draft_after,
        content=mixture.content,
        numbers=MIXED if mixture.floats or mixture.int16 or float_notes or float_inputs else W8A8,
        io=step.io,
        warnings=draft_after.warnings
        + prepared.notes
        + float_notes
        + _input_warnings(float_inputs, of_inputs)
        + _mixture_warnings(table, mixture, judge, whole)
        + _budget_warnings(content, mixture, judge, step.max_drop, materials),
    )


def _float_notes(layers: KeptTensors, content: bytes, draft: Draft) -> tuple[str, ...]:
    if layers.layers:
        return (f"the recipe keeps {', '.join(map(repr, layers.layers))} in floats",)
    return float_layer_notes(content, draft.keras_model)


def try_int16(
    floats: Mixture, file: CalibratedFile, judge: Judge, max_drop: float, report: Report
) -> Mixture:
    """Give layers 16-bit activations instead of floats, where the accuracy allows it.

    Args:
        floats: File with layers in floats.
        file: The float file and its ranges.
        judge: Judge of files on the validation samples.
        max_drop: Largest loss of accuracy, 0-1. If `floats` loses more, its own accuracy is the
            limit.
        report: Function that receives the progress for each layer.
    """
    names = UnpackedModel(file.content)
    ranges = {names.name(tensor): bounds for tensor, bounds in file.ranges.items()}
    enough = min(judge.accuracy - max_drop, floats.reached.accuracy) - _TINY
    best = floats
    for done, layer in enumerate(floats.floats, start=1):
        report(Progress("try 16 bits", done, len(floats.floats)))
        try:
            content, int16 = add_int16_layers(floats.content, (*best.int16, layer), ranges)
            reached = judge(content)
        except ConversionError:  # There is no such kernel, or it does not run.
            continue
        if layer in int16 and reached.accuracy >= enough:
            remaining = tuple(other for other in floats.floats if other not in int16)
            best = Mixture(content, remaining, int16, reached)
    return best


def measure_sensitivities(
    file: CalibratedFile,
    groups: Mapping[str, Sequence[str]],
    quantize: Callable[[Sequence[str]], bytes],
    judge: Judge,
    report: Report,
) -> tuple[Sensitivity, ...]:
    """Measure the effect of 8 bits in each layer alone; the noisiest layer comes first.

    Args:
        file: The float file and its ranges.
        groups: Name of each layer to the names of its output tensors.
        quantize: Function that quantizes the file, except for the layers of the given names.
        judge: Judge of files on the validation samples.
        report: Function that receives the progress for each layer.
    """
    model = UnpackedModel(file.content)
    ops = {model.name(int(o)): model.op(op) for op in model.operators for o in op.outputs}
    rows = []
    for done, (layer, names) in enumerate(groups.items(), start=1):
        report(Progress("measure layers", done, len(groups)))
        kinds = {ops.get(name, _NO_OUTPUT) for name in names if name not in file.floats}
        if kinds <= {*_MOVES, _NO_OUTPUT}:
            continue
        fidelity = judge(quantize([other for other in groups if other != layer]))
        rows.append(
            Sensitivity(
                layer,
                kinds.pop() if len(names) == 1 else RECURRENT,
                round(fidelity.accuracy, 4),
                round(fidelity.sqnr_db, 2),
            )
        )
    return tuple(sorted(rows, key=lambda row: row.sqnr_db))


def choose_float_layers(
    table: Sequence[Sensitivity],
    evaluate: Callable[[Sequence[str]], Fidelity],
    within: Callable[[Fidelity], bool],
) -> tuple[tuple[str, ...], Fidelity]:
    """Choose the layers that stay in floats.

    Args:
        table: Effect of 8 bits in each layer, the noisiest first.
        evaluate: Function of the layers in floats to the fidelity of the file.
        within: Function that decides whether a fidelity is within the budget.

    Returns:
        Names of the layers, and the fidelity of the file with these in floats.
    """
    floats: list[str] = []
    reached = evaluate(floats)
    for row in table:
        if within(reached):
            break
        floats.append(row.layer)
        reached = evaluate(floats)
    for layer in floats[:-1]:  # The last one brought the file within the budget.
        without = [other for other in floats if other != layer]
        fidelity = evaluate(without)
        if within(fidelity):
            floats, reached = without, fidelity
    return tuple(floats), reached


def _within(judge: Judge, max_drop: float) -> Callable[[Fidelity], bool]:
    return lambda fidelity: judge.accuracy - fidelity.accuracy <= max_drop + _TINY


def _mixture_warnings(
    table: Sequence[Sensitivity],
    mixture: Mixture,
    judge: Judge,
    whole: Fidelity,
) -> tuple[str, ...]:
    sentences = [
        _name_layers(table, layers, how)
        for layers, how in (
            (mixture.int16, "have 16-bit activations"),
            (mixture.floats, "stay in floats"),
        )
        if layers
    ]
    if not sentences:
        return ()
    lost = judge.accuracy - mixture.reached.accuracy
    return (
        f"{'; '.join(sentences)}; on the validation samples {judge.accuracy - whole.accuracy:.1%} "
        f"would be lost with all in 8 bits, and {lost:.1%} is lost so",
    )


def _budget_warnings(
    content: bytes, mixture: Mixture, judge: Judge, max_drop: float, materials: Materials
) -> tuple[str, ...]:
    if _within(judge, max_drop)(mixture.reached):
        return ()
    others = name_alternatives(measure_alternatives(content, materials, judge))
    return (f"the budget of {max_drop:.1%} is not held even so; {others}",)


def _input_loss(content: bytes, judge: Judge) -> float:
    """Accuracy that the rounding of the inputs alone loses, 0-1, as `Fidelity` counts it."""
    model = UnpackedModel(content)
    specs = [model.spec(tensor) for tensor in model.inputs]
    return judge.accuracy - judge.of_rounded_inputs(specs).accuracy


def _float_input_names(content: bytes) -> tuple[str, ...]:
    model = UnpackedModel(content)
    return tuple(model.name(tensor) for tensor in model.inputs if model.is_float(tensor))


def _input_warnings(names: Sequence[str], loss: float) -> tuple[str, ...]:
    if not names:
        return ()
    what = f"the input {names[0]!r}" if len(names) == 1 else f"the inputs {', '.join(names)}"
    return (
        f"{what} stays floats: its rounding to 8 bits alone would lose {loss:.1%} on the "
        "validation samples",
    )


def _name_layers(table: Sequence[Sensitivity], layers: Sequence[str], how: str) -> str:
    rows = [row for row in table if row.layer in layers]
    names = "; ".join(
        f"{row.op} {row.layer.split(';')[0]!r} ({row.sqnr_db:.1f} dB, {row.accuracy:.1%} with it "
        "alone in 8 bits)"
        for row in rows[:_NAMED]
    )
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return f"{len(rows)} of {len(table)} layers {how}: {names}{more}"
