"""Refuses, before anything is trained, a model that cannot be written in the requested format."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from converters.data.dataset import CALIBRATION, TRAIN
from converters.draft.draft import Draft, Materials
from converters.draft.emit import emit
from converters.evidence.conversion import MODEL_NAME
from converters.progress import ignore
from converters.quantize.ptq import quantize_w8a8
from converters.recipe.number_steps import PtqW8A8
from converters.recipe.recipe import Recipe
from converters.recipe.step import NUMBERS
from converters.work.alternatives import trial_materials

#: Kinds of steps after which the file has the operators of an 8-bit file.
_EIGHT_BITS = ("ptq_w8a8", "qat_w8a8")


def try_onnx(recipe: Recipe, draft: Draft, materials: Materials) -> None:
    """Write the untrained model as ONNX, to a folder that is removed.

    Args:
        recipe: Recipe of the model.
        draft: The model before the first step.
        materials: Materials of every step.

    Raises:
        ConversionError: An op cannot be written as ONNX; the message names it.
    """
    from converters.onnx.write.file import onnx_of_tflite  # needs a package of its own

    last = recipe.steps[-1] if recipe.steps else None
    if last is not None and last.phase == NUMBERS and last.kind in _EIGHT_BITS:
        draft = quantize_w8a8(draft, PtqW8A8(), _with_calibration(trial_materials(materials)))
    with tempfile.TemporaryDirectory(prefix="kedge-trial-") as folder:
        file = Path(folder) / MODEL_NAME
        emit(draft, file, ignore)
        onnx_of_tflite(file.read_bytes())


def _with_calibration(few: Materials) -> Materials:
    """Materials of a recipe that trains, which need not have samples for calibration."""
    if CALIBRATION in few.samples:
        return few
    return replace(few, samples={**few.samples, CALIBRATION: few.samples[TRAIN]})
