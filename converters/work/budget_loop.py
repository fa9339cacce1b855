"""Makes a file that loses no more accuracy than is allowed: tries, and backs off."""

from __future__ import annotations

from converters.errors import ConversionError
from converters.judge.budget import Attempt, judge_budget
from converters.progress import Progress, Report
from converters.recipe.milder import MOST_ATTEMPTS, milder_recipe
from converters.recipe.recipe import Recipe
from converters.work.maker import Made, Maker


def make_within(
    maker: Maker, recipe: Recipe, max_drop: float | None, report: Report
) -> tuple[Made, tuple[Attempt, ...]]:
    """Make the strongest file on the way from a recipe to milder ones that keeps a budget.

    The validation samples decide, on the .tflite itself; the test samples have no part in it.

    Args:
        maker: With the validation samples.
        recipe: What was asked for, and is tried first.
        max_drop: Accuracy that may be lost, 0-1; None for any.
        report: Told when something else is tried.

    Returns:
        The first file that keeps the budget, else the one that loses least; and all that was tried.

    Raises:
        ConversionError: The recipe that was asked for does not take the model or the data.
    """
    if max_drop is None:
        return maker.make(recipe), ()
    best: tuple[float, Made] | None = None
    attempts: list[Attempt] = []
    asked: Recipe | None = recipe
    while asked is not None and len(attempts) < MOST_ATTEMPTS:
        try:
            made = maker.make(asked)
        except ConversionError as error:
            if best is None or error.exit_code != ConversionError.exit_code:
                raise
            attempts.append(Attempt(asked.name, asked.plain_steps(), (), None, False, str(error)))
            break
        drop = maker.drop_of_file()
        held = judge_budget(drop, max_drop).held
        losses = tuple(record.validation_drop for record in made.records)
        attempts.append(Attempt(asked.name, asked.plain_steps(), losses, drop, held))
        if best is None or drop.fraction < best[0]:
            best = drop.fraction, made
        if held:
            break
        asked = milder_recipe(asked, losses, drop.fraction, max_drop)
        if asked is not None:
            lost = f"{drop.fraction:.2%} lost, {max_drop:.2%} allowed"
            report(Progress(f"try {asked.name}", 0, 0, lost))
    assert best is not None
    maker.put(best[1])
    return best[1], tuple(attempts)
