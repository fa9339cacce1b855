"""The table of the compression benchmark: figures in, lines out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.compression_rows import HALF, PTQ, THREE_QUARTERS, RowRecipe
from converters.data.data_source import open_dataset
from converters.data.dataset import TEST, InputForm, Selection
from converters.evidence.conversion import Conversion
from converters.judge.paired import paired_interval
from converters.judge.score import Accuracy
from converters.progress import ignore
from converters.tensor_spec import dequantize, quantize
from converters.tflite.run import run_model
from toolkit.judge.ratio import Ratio, compare_medians

#: What was set out to be reached: points below float, and how many times faster than plain int8.
MOST_POINTS = {None: 0.3, HALF: 2.0, THREE_QUARTERS: 0.5}
LEAST_SPEEDUP = {HALF: 1.7}
MOST_PTQ_RATIO = 1.2

_NOISE = 0.02
Right = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Figures:
    """All that was measured."""

    rows: tuple[tuple[RowRecipe, Conversion], ...]
    latency_us: list[list[float]]
    """Of each row, medians of fresh processes, in turn with those of the other rows."""
    ptq_seconds: tuple[tuple[float, float], ...]
    """Of each round: kedge's whole conversion, the bare script's."""


def right_share(accuracy: Accuracy | None) -> float:
    """Share of right answers, 0-1; the subjects of this benchmark are classifiers."""
    assert accuracy is not None
    return accuracy.fraction


def table(figures: Figures, data: Path) -> list[str]:
    """The lines of the result.

    Args:
        figures: What was measured.
        data: The data that was used; the files are asked about its test samples once more, to pair
            them with each other.
    """
    recipes = [row for row, _ in figures.rows]
    conversions = [conversion for _, conversion in figures.rows]
    names = [row.name for row in recipes]
    plain = names.index(PTQ)
    speedups = [
        compare_medians(own, figures.latency_us[plain], _NOISE) for own in figures.latency_us
    ]
    right = right_answers(conversions, data)
    lines = [
        "| | test accuracy % | points below float (95 %, paired) | MACs | file bytes | median us | "
        "times faster than plain int8 (95 %) | epochs of its own |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, conversion, speedup, medians in zip(
        recipes, conversions, speedups, figures.latency_us, strict=True
    ):
        lines.append(_line(row, conversion, speedup, float(np.median(medians))))
    lines += ["", "## Set out to reach", "", "| | found | aim | |", "|---|---|---|---|"]
    lines += _aims(figures.rows, speedups)
    lines += _qat_beside_ptq(recipes, conversions, right, plain)
    lines += _beaten(recipes, conversions, right)
    lines += [_ptq_time(figures.ptq_seconds)]
    return lines


def _line(row: RowRecipe, conversion: Conversion, speedup: Ratio, median_us: float) -> str:
    drop = next(drop for drop in conversion.drops if drop.split == TEST)
    low, high = drop.interval
    fast_low, fast_high = speedup.interval
    macs = f"{conversion.cost.macs:,}" if conversion.cost else "–"
    cells = [
        row.name,
        f"{100 * right_share(conversion.accuracy):.2f}",
        f"{100 * drop.fraction:.2f} ({100 * low:+.2f} to {100 * high:+.2f})",
        macs,
        f"{conversion.model_bytes:,}",
        f"{median_us:.1f}",
        f"{speedup.value:.2f} ({fast_low:.2f} to {fast_high:.2f})",
        str(row.epochs or "none"),
    ]
    return f"| {' | '.join(cells)} |"


def _aims(made: tuple[tuple[RowRecipe, Conversion], ...], speedups: list[Ratio]) -> list[str]:
    lines = []
    for (row, conversion), speedup in zip(made, speedups, strict=True):
        if not row.ours or conversion.recipe == "float32":
            continue
        points = 100 * (right_share(conversion.float_accuracy) - right_share(conversion.accuracy))
        most = MOST_POINTS[row.macs_ratio]
        lines.append(
            _aim(f"{row.name}: points below float", f"{points:.2f}", f"≤ {most}", points <= most)
        )
        least = LEAST_SPEEDUP.get(row.macs_ratio) if row.macs_ratio else None
        if least is not None:
            name = f"{row.name}: times faster than plain int8"
            value = speedup.value
            lines.append(_aim(name, f"{value:.2f}", f"≥ {least}", value >= least))
    return lines


def _qat_beside_ptq(
    recipes: list[RowRecipe], conversions: list[Conversion], right: list[Right], plain: int
) -> list[str]:
    lines = []
    for row, conversion, own in zip(recipes, conversions, right, strict=True):
        if conversion.recipe == "qat_w8a8":
            lines.append(_paired(f"{row.name} beside {PTQ}", right[plain], own, "not below"))
    return lines


def _beaten(
    recipes: list[RowRecipe], conversions: list[Conversion], right: list[Right]
) -> list[str]:
    """Whether kedge's way beats the baselines of the same MACs."""
    lines = []
    del conversions
    for ours, own in zip(recipes, right, strict=True):
        if ours.macs_ratio is None or not ours.ours:
            continue
        for row, other in zip(recipes, right, strict=True):
            if row.macs_ratio == ours.macs_ratio and not row.ours:
                lines.append(_paired(f"{ours.name} beside {row.name}", other, own, "above"))
    return lines


def _paired(name: str, before: Right, after: Right, aim: str) -> str:
    points = 100 * (float(after.mean()) - float(before.mean()))
    low, high = paired_interval(before, after)
    met = points > 0 if aim == "above" else points >= 0
    return _aim(name, f"{points:+.2f} points ({100 * low:+.2f} to {100 * high:+.2f})", aim, met)


def _ptq_time(rounds: tuple[tuple[float, float], ...]) -> str:
    ratios = sorted(ours / bare for ours, bare in rounds)
    middle = float(np.median(ratios))
    ours, bare = (float(np.median([pair[side] for pair in rounds])) for side in (0, 1))
    found = f"{middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}; {ours:.1f} s and {bare:.1f} s)"
    return _aim(
        f"{PTQ}: time of kedge by that of the bare TFLiteConverter script",
        found,
        f"≤ {MOST_PTQ_RATIO}",
        middle <= MOST_PTQ_RATIO,
    )


def _aim(name: str, found: str, aim: str, met: bool) -> str:
    return f"| {name} | {found} | {aim} | {'met' if met else 'NOT met'} |"


def right_answers(conversions: list[Conversion], data: Path) -> list[Right]:
    """Run the files on the test samples.

    Args:
        conversions: Conversions of one model and the same data.
        data: The data.

    Returns:
        For each file whether it is right on each test sample, shape (n,).
    """
    one = conversions[0]
    (spec,), (scores,) = one.inputs, one.outputs
    form = InputForm(tuple(spec.shape[1:]), int(scores.shape[-1]))
    dataset = open_dataset(data, form, one.image_range, one.seed)
    count = len(dataset.labels[TEST])
    test = dataset.read({TEST: Selection(TEST, np.arange(count))}, ignore)[TEST]
    found = []
    for conversion in conversions:
        (spec,), (scores,) = conversion.inputs, conversion.outputs
        answers = []
        for batch, labels in test.batches(1000):
            outputs = run_model(conversion.model, {spec.name: quantize(batch, spec)})
            answers.append(dequantize(outputs[scores.name], scores).argmax(axis=1) == labels)
        found.append(np.concatenate(answers))
    return found
