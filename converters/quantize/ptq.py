"""Post-training quantization: the ranges are measured on real samples, the weights are rounded.

Weights get one scale per channel, in Dense too, although its op version does not say so to an old
runtime: on tflite-runtime 2.14.0 a wide Dense net whose channels differ 150-fold in range, and
ResNet-8, gave 0 LSB of difference to ai-edge-litert 2.3.0 with the same builtin kernels, and less
error than one scale per tensor. tests/converters/test_op_contract.py keeps asking.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from converters.data.dataset import CALIBRATION, VALIDATION
from converters.draft.draft import DYNAMIC, F16, W8A8, W8A16, WEIGHT_ONLY, Draft, Materials
from converters.quantize.bias_correction import corrected
from converters.quantize.calibrate import Ranges, measured, warnings_about
from converters.quantize.equalize import equalized
from converters.quantize.fidelity import Fidelity, Judge
from converters.quantize.float_file import float_file
from converters.quantize.integer_file import int8_file, int16_file
from converters.quantize.layer_refusals import refuse_floats, refuse_recurrent
from converters.recipe.number_steps import (
    IF_BETTER,
    PtqDynamic,
    PtqF16,
    PtqW8A8,
    PtqW8A16,
    PtqWeightOnly,
)


@dataclass(frozen=True)
class Prepared:
    """A float file and its ranges, ready to be rounded."""

    content: bytes
    """The float .tflite."""
    ranges: Ranges
    """Of its activations."""
    found: dict[str, Any]
    """What was tried to improve it, as plain data."""


def quantize_w8a8(draft: Draft, step: PtqW8A8, materials: Materials) -> Draft:
    """Quantize to integers throughout, with ranges measured on the calibration samples.

    Args:
        draft: A float model.
        step: How to measure, what to improve, and the type of input and output.
        materials: With the split "calibration", and "validation" if anything is to be improved.

    Raises:
        ConversionError: TensorFlow refuses the model, or a layer of it cannot be of 8 bits.
    """
    content, origin = float_file(draft, materials.report), str(materials.source.path)
    refuse_recurrent(content, draft.keras_model, origin)
    judge = None
    if IF_BETTER in (step.equalize, step.bias_correction):
        judge = judge_of(content, materials)
    prepared = prepare(content, step, materials, judge)
    made = int8_file(prepared.content, prepared.ranges, step.io)
    refuse_floats(made, draft.keras_model, origin)
    return replace(
        with_calibration(draft, step.calibration_samples, materials, prepared.found),
        content=made,
        numbers=W8A8,
        io=step.io,
    )


def judge_of(content: bytes, materials: Materials) -> Judge:
    """What tells whether a file is better than another, by the validation samples."""
    source = materials.source
    return Judge(content, materials.samples[VALIDATION], source.probabilities, materials.seed)


def prepare(content: bytes, step: PtqW8A8, materials: Materials, judge: Judge | None) -> Prepared:
    """Measure the ranges, and make what improvements are asked for and are ones.

    Args:
        content: A float .tflite.
        step: What is asked for.
        materials: With the split "calibration".
        judge: Of improvements; None where none is asked for.

    Raises:
        ConversionError: TensorFlow refuses the model.
    """
    samples, report = materials.samples[CALIBRATION], materials.report

    def ranged(file: bytes) -> Ranges:
        return measured(file, samples, step.calibration, step.percentile, report)

    best = Prepared(content, ranged(content), {})
    if judge is None:
        return best
    found: dict[str, Any] = {}
    if step.equalize == IF_BETTER:
        file, pairs = equalized(content)
        tried = Prepared(file, ranged(file), {}) if pairs else None
        best, found["equalize"] = _better(best, tried, pairs, step.io, judge)
    if step.bias_correction == IF_BETTER:
        ranges = best.ranges
        quantized: Callable[[bytes], bytes] = lambda file: int8_file(file, ranges, step.io)  # noqa: E731
        file, layers = corrected(best.content, quantized, samples, report)
        tried = Prepared(file, ranges, {}) if layers else None
        best, found["bias_correction"] = _better(best, tried, layers, step.io, judge)
    return replace(best, found=found)


def _better(
    best: Prepared, tried: Prepared | None, layers: int, io: str, judge: Judge
) -> tuple[Prepared, dict[str, Any]]:
    """The better of two, and what is to be said about it."""
    if tried is None:
        return best, {"layers": 0, "kept": False}
    before: Fidelity = judge(int8_file(best.content, best.ranges, io))
    after: Fidelity = judge(int8_file(tried.content, tried.ranges, io))
    kept = after.is_better_than(before)
    told = {
        "layers": layers,
        "kept": kept,
        "accuracy": [before.accuracy, after.accuracy],
        "sqnr_db": [round(before.sqnr_db, 2), round(after.sqnr_db, 2)],
    }
    return (tried if kept else best), told


def quantize_w8a16(draft: Draft, step: PtqW8A16, materials: Materials) -> Draft:
    """Quantize to 16-bit activations and 8-bit weights; arguments as for `quantize_w8a8`."""
    made = with_calibration(draft, step.calibration_samples, materials, {})
    samples, report = materials.samples[CALIBRATION], materials.report
    content = float_file(draft, report)
    refuse_recurrent(content, draft.keras_model, str(materials.source.path))
    content = int16_file(content, samples, report)
    return replace(made, content=content, numbers=W8A16, io="int16")


def store_f16(draft: Draft, step: PtqF16, materials: Materials) -> Draft:  # noqa: ARG001
    """Ask for weights that are stored as 16-bit floats."""
    return _stored(draft, F16)


def quantize_dynamic(
    draft: Draft,
    step: PtqDynamic,  # noqa: ARG001
    materials: Materials,  # noqa: ARG001
) -> Draft:
    """Ask for weights that are stored in 8 bits, and activations rounded while the model runs."""
    return _stored(draft, DYNAMIC)


def store_int8(draft: Draft, step: PtqWeightOnly, materials: Materials) -> Draft:  # noqa: ARG001
    """Store weights in 8 bits; the file makes floats of them, and computes in floats."""
    # TensorFlow's converter cannot.
    return _stored(replace(draft, content=float_file(draft, materials.report)), WEIGHT_ONLY)


def _stored(draft: Draft, numbers: str) -> Draft:
    if draft.content is None:
        return replace(draft, numbers=numbers)
    from converters.quantize.edge_quantizer import with_stored_weights

    return replace(draft, content=with_stored_weights(draft.content, numbers), numbers=numbers)


def with_calibration(
    draft: Draft, wanted: int, materials: Materials, found: dict[str, Any]
) -> Draft:
    """The draft with what is to be said about the samples that ranges were measured on."""
    calibration = materials.samples[CALIBRATION]
    classes = materials.source.classes_of_outputs
    return replace(
        draft,
        warnings=draft.warnings + warnings_about(calibration, wanted, classes),
        found={"calibration_samples": len(calibration), **found},
    )
