"""How well a conversion does, in the tables that people read."""

from dataclasses import replace
from pathlib import Path

import pytest

from converters.evidence.conversion import Conversion
from converters.judge.budget import Budget
from converters.judge.metric import MetricFigures
from converters.judge.paired import Drop
from converters.judge.score import Accuracy
from toolkit.report import words
from toolkit.report.conversion import (
    describe_budget,
    describe_conversion,
    judgement_rows,
    plain_judgement,
)
from toolkit.report.recipe_comparison import judgement_table, notes_of_recipes
from toolkit.report.tables import Table

FIGURES = MetricFigures("regression", "mae", False, 0.5, 0.52, 200, ())
GREW = Drop("test", 200, 120, 80, (0.01, 0.07), "mae", 0.5, 0.52, False)
LOST = Drop("test", 200, 3, 1, (-0.01, 0.03))


def conversion(
    accuracies: tuple[Accuracy, Accuracy] | None, metric: MetricFigures | None, drop: Drop
) -> Conversion:
    before, after = accuracies or (None, None)
    return Conversion(
        model=Path("model.tflite"), model_sha256="", model_bytes=1, recipe="ptq_w8a8",
        recipe_steps=(), seed=0, source="", source_sha256="", source_bytes=4, data="",
        data_sha256="", splits=(), versions={}, float_accuracy=before, accuracy=after, inputs=(),
        outputs=(), drops=(drop,), metric=metric,
    )  # fmt: skip


def test_a_regression_shows_its_metric_and_by_how_much_it_grew() -> None:
    rows = judgement_rows(conversion(None, FIGURES, GREW))
    assert rows[0] == ["mae", "0.5", "0.52"]
    assert rows[2][0].startswith("loss in %")
    assert rows[2][2] == "4.00 (+1.00 to +7.00)"


def test_a_classification_shows_its_accuracy_and_the_points_that_it_lost() -> None:
    rows = judgement_rows(conversion((Accuracy(190, 200), Accuracy(188, 200)), None, LOST))
    assert rows[0] == ["accuracy", "95.00 %", "94.00 %"]
    assert rows[2][2] == "1.00 (-1.00 to +3.00)"


def test_a_program_is_told_the_same() -> None:
    assert plain_judgement(conversion(None, FIGURES, GREW)) == {
        "metric": "mae", "given": 0.5, "file": 0.52, "samples": 200,
    }  # fmt: skip
    told = plain_judgement(conversion((Accuracy(190, 200), Accuracy(188, 200)), None, LOST))
    assert told == {"float_accuracy": 0.95, "accuracy": 0.94, "samples": 200}


def test_a_comparison_by_a_metric_has_columns_of_its_own() -> None:
    score = {"value": 0.52, "interval": (0.5, 0.54)}
    rows = [
        {"refused": None, "name": "original", "scores": {}, "drops": {}},
        {
            "refused": None,
            "name": "ptq_w8a8",
            "scores": {"validation": score, "test": score},
            "drops": {"test": {"drop": 0.04, "interval": (0.01, 0.07)}},
        },
    ]
    table = judgement_table({"metric": "mae", "rows": rows})
    assert table.title == "mae"
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert table.rows[1] == ["ptq_w8a8", "–", "0.52", "0.52 (0.5–0.54)", "4.00 (+1.00 to +7.00)"]


def test_a_drop_of_an_error_is_a_share_of_it() -> None:
    assert round(GREW.fraction, 9) == 0.04
    assert round(LOST.fraction, 9) == 0.01


@pytest.mark.parametrize(("held", "verdict"), [(True, "held, at most"), (False, "not held, more")])
def test_a_budget_is_said_to_be_held_or_not(held: bool, verdict: str) -> None:
    judged = conversion((Accuracy(190, 200), Accuracy(188, 200)), None, LOST)
    blocks = describe_budget(replace(judged, budget=Budget(0.01, "test", held, ())))
    assert str(blocks[0]).startswith(f"--max-drop: {verdict}")


def test_a_recipe_of_the_user_is_reported_under_its_own_name() -> None:
    own = replace(conversion(None, FIGURES, GREW), recipe_file="r5")
    (table,) = describe_conversion(own)
    assert isinstance(table, Table)
    assert table.title == "model.tflite by r5 (ptq_w8a8)"


def test_the_state_of_an_optimizer_is_not_compared_with() -> None:
    assert words.model_size(280_000, 77_000) == "75.2 KiB of weights (file 273.4 KiB)"
    assert words.model_size(80_000, 77_000) == "78.1 KiB"
    assert words.model_size(80_000, None) == "78.1 KiB"


def test_a_note_of_some_rows_says_whose_it_is() -> None:
    rows = [
        {"name": "original", "refused": "", "notes": []},
        {"name": "a", "refused": "", "notes": ["few samples", "68% of the MACs are left"]},
        {"name": "b", "refused": "", "notes": ["few samples", "b is not faster than a"]},
        {"name": "c", "refused": "no block", "notes": []},
    ]
    assert notes_of_recipes({"rows": rows}) == [
        "few samples",
        "a: 68% of the MACs are left",
        "b is not faster than a",
    ]
