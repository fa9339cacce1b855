"""What several recipes give, as data, and which of them is the strongest. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from converters.data.dataset import TEST, VALIDATION
from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.judge.budget import judge_budget
from converters.judge.paired import Drop, worst
from converters.measure import FileFigures


@dataclass(frozen=True)
class RecipeRow:
    """One recipe of a comparison."""

    name: str
    """Name of the recipe, and of its folder."""
    conversion: Conversion | None
    """The conversion by this recipe; None where the recipe was refused."""
    refused: str = ""
    """Reason why there is no conversion, and what to do; "" where there is one."""
    latency: FileFigures | None = None
    """Figures of the file; None where it was not measured."""
    unmeasured: str = ""
    """Reason why the file could not be measured; "" where it was, or where nobody measures."""
    request_sha256: str = ""
    """Digest of all that decided a refusal, which an equal request meets again; "" where another
    attempt may succeed, and where nothing was refused."""

    @property
    def latency_us(self) -> float | None:
        """Latency of one inference, microseconds; None where it was not measured."""
        return None if self.latency is None else self.latency.latency_us.value


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
    measured_at: str = ""
    """Time of the measurement (UTC) where it was read from an earlier comparison; else ""."""

    def conversions(self) -> tuple[Conversion, ...]:
        """Return the conversions of the rows that have one."""
        return tuple(row.conversion for row in self.rows if row.conversion is not None)


def choose_recipe(
    rows: Sequence[RecipeRow], max_drop: float | None, latency_decides: bool = True
) -> RecipeComparison:
    """Find the strongest conversion that loses no more accuracy than is allowed.

    The validation samples say which files keep the budget. Of these, the strongest that keeps it on
    the test samples, too, is chosen; where there is none, the strongest of all, which does not
    hold. The float model itself is no candidate.

    Args:
        rows: One row for each recipe.
        max_drop: Largest loss of accuracy that is allowed, 0-1; None for any.
        latency_decides: Whether the fastest is the strongest; otherwise it is the file that needs
            the least memory on a board, for itself and its tensors.

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
    order, ties = rank_rows(candidates, latency_decides)
    budgets = {row.name: judge_budget(_drop_of(row, TEST), max_drop) for row in order}
    best = next((row for row in order if budgets[row.name].held), order[0])
    passed_over = order[: order.index(best)] if budgets[best.name].held else []
    for row in (*passed_over, best):
        reasons += [f"{row.name}: {reason}" for reason in budgets[row.name].reasons]
    reasons += [ties[best.name]] if best.name in ties else []
    held = budgets[best.name].held
    return RecipeComparison(tuple(rows), max_drop, best.name, tuple(reasons), held)


def rank_rows(
    rows: Sequence[RecipeRow], latency_decides: bool
) -> tuple[list[RecipeRow], dict[str, str]]:
    """Put rows with a conversion in order, the strongest first.

    Args:
        rows: Rows, each with a conversion.
        latency_decides: Whether the fastest is the strongest, if all were measured. Memory ranks
            files whose latencies do not differ for certain.

    Returns:
        The rows, and name of a row to the sentence that names the files whose latencies do not
        differ from its own for certain.
    """
    by_latency = latency_decides and all(row.latency is not None for row in rows)
    if not by_latency:
        return sorted(rows, key=_memory), {}
    waiting, order, ties = list(rows), list[RecipeRow](), dict[str, str]()
    while waiting:
        group = [row for row in waiting if not any(_is_faster(other, row) for other in waiting)]
        best = min(group, key=_memory)
        if len(group) > 1:
            names = ", ".join(row.name for row in group)
            ties[best.name] = (
                f"the latencies of {names} do not differ for certain, so that memory decides "
                "between them"
            )
        order.append(best)
        waiting.remove(best)
    return order, ties


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


def _is_faster(first: RecipeRow, second: RecipeRow) -> bool:
    """Whether two latencies can be trusted, and the whole first interval is below the second."""
    figures = [row.latency for row in (first, second)]
    if not all(figure is not None and figure.is_trusted for figure in figures):
        return False
    (one, other) = (figure.latency_us for figure in figures if figure is not None)
    return one.high < other.low


def _drop_of(row: RecipeRow, split: str) -> Drop:
    assert row.conversion is not None
    return drop_on(row.conversion, split)


def _memory(row: RecipeRow) -> tuple[int, int]:
    """Bytes of the file and its tensors on a board, then of the compressed file."""
    assert row.conversion is not None and row.conversion.cost is not None
    cost = row.conversion.cost
    return row.conversion.model_bytes + cost.peak_tensor_bytes, cost.compressed_bytes
