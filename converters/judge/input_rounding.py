"""What the rounding of the inputs alone costs: nothing behind them can win it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import TEST, Samples
from converters.data.fields import join_fields, select_field
from converters.data.split import balanced_choice
from converters.judge.evaluate import ModelAnswers
from converters.judge.paired import Drop
from converters.model_file import ModelFile
from converters.sources.loaded_model import LoadedModel
from converters.tensor_spec import TensorSpec, dequantize, quantize

Array = npt.NDArray[Any]

#: Number of samples that show a loss that is worth a word.
_SAMPLES = 300
#: Smallest loss of accuracy, 0-1, or of another metric as a share of the model's, that is reported.
_LEAST = 0.005
#: Largest difference that counts as none, as a share of the largest number of the input.
_EXACT = 1e-6


def round_inputs(specs: Sequence[TensorSpec], batch: Array) -> Array:
    """Round samples as the inputs of a file do.

    Args:
        specs: Inputs of the file; those without a scale round nothing.
        batch: Samples, shape (n, ...); for several inputs a field for each, by its name.

    Returns:
        The samples that the file computes with, of the shape and type of `batch`.
    """
    rounded = {}
    for spec in specs:
        values = select_field(batch, spec.name if len(specs) > 1 else "")
        is_rounded = spec.scale is not None and values.dtype.kind == "f"
        rounded[spec.name] = dequantize(quantize(values, spec), spec) if is_rounded else values
    if len(specs) == 1:
        return rounded[specs[0].name]
    return join_fields({name: rounded[name] for name in batch.dtype.names or ()})


def input_rounding_drop(source: LoadedModel, model: ModelFile, test: Samples) -> Drop | None:
    """Measure what the original model loses on inputs that are rounded as those of a file.

    Args:
        source: The original model.
        model: The file.
        test: Test samples; some of them are used.

    Returns:
        The loss, for the output that loses most; None where the inputs are not rounded, or every
        number of these samples stays what it is.
    """
    samples = test.subset(balanced_choice(test.labels, _SAMPLES, 0))
    batch = samples.batch(slice(None))
    rounded = round_inputs(model.inputs, batch)
    if _are_equal(batch, rounded):
        return None
    before = ModelAnswers(samples, source.predict(batch), source.probabilities)
    after = replace(before, answers=source.predict(rounded))
    return before.drop_to(after, TEST)


def input_rounding_warnings(drop: Drop | None, model: ModelFile) -> tuple[str, ...]:
    """Tell a loss that the rounding of the inputs alone causes.

    Args:
        drop: Result of `input_rounding_drop`.
        model: The file.
    """
    if drop is None or drop.fraction < _LEAST or drop.interval[0] <= 0:
        return ()
    kinds = sorted({spec.dtype for spec in model.inputs if spec.scale is not None})
    low, high = drop.interval
    return (
        f"the rounding of the input to {' and '.join(kinds)} alone loses {drop.fraction:.1%} (95 % "
        f"interval {low:+.1%} to {high:+.1%}, {drop.samples} test samples), whatever is behind it: "
        "bring its numbers to one size before the model; where few of them lie far out, try "
        '`calibration = "percentile"` in the step ptq_w8a8 or mixed_w8a8 of a recipe of your own; '
        "or use a recipe whose input stays floats (ptq_dynamic, ptq_f16; mixed_w8a8 where that "
        "helps)",
    )


def _are_equal(batch: Array, rounded: Array) -> bool:
    for name in batch.dtype.names or ("",):
        before, after = select_field(batch, name), select_field(rounded, name)
        if before.dtype.kind != "f":
            continue
        largest = float(np.abs(before).max(initial=0.0))
        if float(np.abs(before - after).max(initial=0.0)) > _EXACT * max(largest, 1e-30):
            return False
    return True
