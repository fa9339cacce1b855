"""Other recipes, measured where the budget of one is not kept: only these may be recommended."""

from __future__ import annotations

from collections.abc import Callable

from converters.draft.draft import DYNAMIC, F16, Materials
from converters.errors import ConversionError
from converters.progress import Progress
from converters.quantize.edge_quantizer import quantize_weights
from converters.quantize.fidelity import Judge
from converters.quantize.ptq import w8a16_file


def measure_alternatives(
    content: bytes, materials: Materials, judge: Judge
) -> tuple[tuple[str, float], ...]:
    """Measure what other recipes lose on the validation samples.

    Args:
        content: Float .tflite.
        materials: Samples with the split "calibration".
        judge: Judge of files on the validation samples.

    Returns:
        Recipe and loss of accuracy, 0-1, as `Fidelity` counts it; recipes that do not take the
        model are left out.
    """
    files: dict[str, Callable[[], bytes]] = {
        "ptq_w8a16": lambda: w8a16_file(content, materials, None)[0],
        "ptq_dynamic": lambda: quantize_weights(content, DYNAMIC),
        "ptq_f16": lambda: quantize_weights(content, F16),
    }
    losses = []
    for done, (recipe, make) in enumerate(files.items(), start=1):
        materials.report(Progress("measure other recipes", done, len(files)))
        try:
            losses.append((recipe, judge.accuracy - judge(make()).accuracy))
        except ConversionError:  # The recipe does not take the model.
            continue
    return tuple(losses)


def name_alternatives(losses: tuple[tuple[str, float], ...]) -> str:
    """Say in one clause what other recipes lose."""
    if not losses:
        return "no other recipe without training takes the model"
    return "measured on the same samples, " + ", ".join(
        f"{recipe} loses {max(loss, 0.0):.1%}" for recipe, loss in losses
    )
