"""Recipes that a model can go through which nothing can train: found by trying them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from converters.data.dataset import CALIBRATION, TRAIN
from converters.draft.draft import Draft, Materials
from converters.draft.emit import emit
from converters.errors import ConversionError
from converters.progress import ignore
from converters.quantize.ptq import quantize_w8a8, store_f16
from converters.recipe.number_steps import PtqF16, PtqW8A8

#: Samples of a trial: ranges need not be right, the file is thrown away.
_TRIAL_SAMPLES = 8


def trial_materials(materials: Materials) -> Materials:
    """Materials of a trial: a few samples of each use, and no report."""
    few = {use: own.subset(slice(_TRIAL_SAMPLES)) for use, own in materials.samples.items()}
    return replace(materials, samples=few, report=ignore, checkpoint=None)


def hint_without_training(materials: Materials) -> str:
    """Hint about a model with a layer that the graph cannot represent.

    The recipe that it names was tried: a model is never sent from one refusal to another.

    Args:
        materials: Materials with samples of the use "train".
    """
    replace_layer = "Replace the layer by layers that kedge represents (docs/coverage.md)"
    source = materials.source
    if source.keras_model is None and source.content is None:
        return f"{replace_layer}."
    recipe = _first_that_works(materials)
    if not recipe:
        return f"{replace_layer}: the recipes that do not train refuse the model, too."
    return f"{replace_layer}, or use the recipe {recipe}, which does not train."


def _first_that_works(materials: Materials) -> str:
    few = trial_materials(materials)
    few = replace(few, samples={CALIBRATION: few.samples[TRAIN], **few.samples})
    draft = Draft(few.source, content=few.source.content)
    trials: dict[str, Callable[[], Draft]] = {
        PtqW8A8.kind: lambda: quantize_w8a8(draft, PtqW8A8(), few),
        PtqF16.kind: lambda: store_f16(draft, PtqF16(), few),
    }
    for recipe, make in trials.items():
        with tempfile.TemporaryDirectory(prefix="kedge-trial-") as folder:
            try:
                emit(make(), Path(folder) / "model.tflite", ignore)
            except ConversionError:
                continue
        return recipe
    return ""
