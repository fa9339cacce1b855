"""Makes a file that loses no more accuracy than is allowed, by milder and milder recipes."""

from __future__ import annotations

from converters.errors import ConversionError
from converters.judge.budget import Attempt, judge_budget
from converters.progress import Progress, Report
from converters.recipe.milder import MOST_ATTEMPTS, milder_recipe
from converters.recipe.recipe import Recipe
from converters.work.maker import Maker, RecipeResult


def make_within_budget(
    maker: Maker, recipe: Recipe, max_drop: float | None, report: Report
) -> tuple[RecipeResult, tuple[Attempt, ...]]:
    """Make the strongest file on the way from a recipe to milder ones that keeps a budget.

    The validation samples decide, on the .tflite itself; the test samples have no part in it.

    Args:
        maker: The model, and the data with validation samples.
        recipe: The requested recipe, which is tried first.
        max_drop: Largest loss of accuracy that is allowed, 0-1; None for any.
        report: Called when another recipe is tried.

    Returns:
        The first file that keeps the budget, else the one that loses least; and every attempt.

    Raises:
        ConversionError: The requested recipe does not take the model or the data.
        HostDiskError: The disk is full or read-only.
    """
    if max_drop is None:
        return maker.make(recipe), ()
    best: tuple[float, RecipeResult] | None = None
    attempts: list[Attempt] = []
    candidate: Recipe | None = recipe
    while candidate is not None and len(attempts) < MOST_ATTEMPTS:
        try:
            result = maker.make(candidate)
        except ConversionError as error:
            if best is None or error.exit_code != ConversionError.exit_code:
                raise
            attempts.append(
                Attempt(candidate.name, candidate.plain_steps(), (), None, False, str(error))
            )
            break
        drop = maker.drop_of_file()
        held = judge_budget(drop, max_drop).held
        losses = tuple(record.validation_drop for record in result.records)
        attempts.append(Attempt(candidate.name, candidate.plain_steps(), losses, drop, held))
        if best is None or drop.fraction < best[0]:
            best = drop.fraction, result
        if held:
            break
        candidate = milder_recipe(candidate, losses, drop.fraction, max_drop)
        if candidate is not None:
            lost = f"{drop.fraction:.2%} lost, {max_drop:.2%} allowed"
            report(Progress(f"try {candidate.name}", 0, 0, lost))
    assert best is not None
    maker.put(best[1])
    return best[1], tuple(attempts)
