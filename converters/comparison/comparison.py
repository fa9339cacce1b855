"""What several recipes give, as data, and which of them is the strongest. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from converters.data.dataset import TEST, VALIDATION
from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.judge.budget import judge_budget
from converters.judge.paired import Drop, worst


@dataclass(frozen=True)
class RecipeRow:
    """One recipe of a comparison."""

    name: str
    """Name of the recipe, and of its folder."""
    conversion: Conversion | None
    """The conversion by this recipe; None where the recipe was refused."""
    refused: str = ""
    """Reason why there is no conversion, and what to do; "" where there is one."""
    latency_us: float | None = None
    """Latency of one inference, microseconds; None where it was not measured."""
    unmeasured: str = ""
    """Reason why the file could not be measured; "" where it was, or where nobody measures."""


@dataclass(frozen=True)
class RecipeComparison:
    """Several recipes on one model and one data set."""

    rows: tuple[RecipeRow, ...]
    """One row for each recipe, in the order in which the user named them; at least one has a
    conversion."""
    max_drop: float | None
    """Largest loss of accuracy that is allowed, 0-1; None for any."""
    chosen: str
    """Name of the strongest recipe that loses no more than that; "" for none."""
    reasons: tuple[str, ...]
    """Reasons for the choice, and for figures that are missing; one sentence each."""
    held: bool
    """Whether the chosen recipe keeps `max_drop` on the test samples too; True without it."""
    measured_on: str = ""
    """Place where latency was measured, in words; "" where nobody measured it."""

    def conversions(self) -> tuple[Conversion, ...]:
        """Return the conversions of the rows that have one."""
        return tuple(row.conversion for row in self.rows if row.conversion is not None)


def choose_recipe(
    rows: Sequence[RecipeRow], max_drop: float | None, latency_decides: bool = True
) -> RecipeComparison:
    """Find the strongest conversion that loses no more accuracy than is allowed.

    The validation samples choose; the test samples, which had no part in it, then tell whether the
    chosen file holds. The strongest is the fastest where all were measured and latency decides,
    else the one that needs the least memory on a board: file and tensors. The float model itself is
    no candidate.

    Args:
        rows: One row for each recipe.
        max_drop: Largest loss of accuracy that is allowed, 0-1; None for any.
        latency_decides: Whether the fastest is the strongest.

    Returns:
        The comparison; its `chosen` is "" where no recipe keeps `max_drop`, or without `max_drop`.

    Raises:
        ConversionError: A conversion was not judged on the validation or the test samples.
    """
    if max_drop is None:
        return RecipeComparison(tuple(rows), None, "", (), True)
    reasons = []
    candidates = []
    for row in rows:
        if row.conversion is None or not row.conversion.recipe_steps:
            continue
        verdict = judge_budget(drop_on(row.conversion, VALIDATION), max_drop)
        # Where a board measures, it says by a refusal that it cannot run the file.
        if verdict.held and not (latency_decides and row.unmeasured):
            candidates.append(row)
        reasons += [f"{row.name}: {reason}" for reason in verdict.reasons if not verdict.held]
    if not candidates:
        return RecipeComparison(tuple(rows), max_drop, "", tuple(reasons), False)
    by_latency = latency_decides and all(row.latency_us is not None for row in candidates)
    best = min(candidates, key=lambda row: _strength(row, by_latency))
    assert best.conversion is not None
    final = judge_budget(drop_on(best.conversion, TEST), max_drop)
    reasons += [f"{best.name}: {reason}" for reason in final.reasons]
    return RecipeComparison(tuple(rows), max_drop, best.name, tuple(reasons), final.held)


def drop_on(conversion: Conversion, split: str) -> Drop:
    """Return the drop of accuracy on one split; of several outputs that of the one that loses most.

    Args:
        conversion: A conversion.
        split: A name such as `converters.data.dataset.TEST`.

    Raises:
        ConversionError: The conversion was not judged on it.
    """
    drops = [drop for drop in conversion.drops if drop.split == split]
    if not drops:
        raise ConversionError(
            f"{conversion.model}: was not judged on the {split} samples", "Convert it again."
        )
    return worst(drops)


def _strength(row: RecipeRow, by_latency: bool) -> tuple[float, int]:
    """Less is stronger."""
    assert row.conversion is not None and row.conversion.cost is not None
    cost = row.conversion.cost
    held_bytes = row.conversion.model_bytes + cost.peak_tensor_bytes
    if by_latency and row.latency_us is not None:
        return row.latency_us, held_bytes
    return float(held_bytes), cost.compressed_bytes
