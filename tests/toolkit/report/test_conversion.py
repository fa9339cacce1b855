"""How well a conversion does, in the tables that people read."""

from pathlib import Path

from converters.evidence.conversion import Conversion
from converters.judge.metric import MetricFigures
from converters.judge.paired import Drop
from converters.judge.score import Accuracy
from toolkit.report.conversion import judgement_rows, plain_judgement
from toolkit.report.recipe_comparison import judgement_table

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
    assert rows[2][0].startswith("worse by, %")
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
