from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from converters.data.data_source import open_dataset
from converters.data.dataset import Dataset, InputForm, Selection
from converters.data.target_data import class_weights
from converters.data.task import Task, TaskWish, parse_task
from converters.errors import ConversionError
from converters.evidence.conversion import Conversion, read_conversion
from converters.judge.metric import ScoredAnswers, auc, drop_of
from converters.progress import ignore
from converters.recipe.recipe import load_recipe
from tests.converters.conftest import run_program

CASES = ("regression", "mixed", "anomalies", "trained", "unlabelled", "own", "pictures")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tasks")
    run_program("task_models", path, "regression", "autoencoder")
    return path


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, dict[str, Any]]:
    """What became of each; see task_report.py."""
    path = folder / "report.json"
    run_program("task_report", folder, path, *CASES)
    return json.loads(path.read_text())


def figures(report: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    return report[name]["conversion"]["metric"]


def test_a_regression_is_told_by_its_float_labels_and_judged_by_its_error(
    report: dict[str, dict[str, Any]],
) -> None:
    metric = figures(report, "regression")
    assert (metric["kind"], metric["name"], metric["samples"]) == ("regression", "mae", 200)
    assert metric["file"] == pytest.approx(metric["given"], rel=0.05)
    conversion = report["regression"]["conversion"]
    assert conversion["accuracy"] is None and conversion["scores"] == []
    (drop,) = conversion["drops"]
    assert drop["interval"][0] < drop["interval"][1]
    assert 'task = "regression"' in report["regression"]["card"]


def test_golden_inputs_of_a_regression_have_no_classes(report: dict[str, dict[str, Any]]) -> None:
    assert report["regression"]["labels"] == []
    assert [shape[0] for shape in report["regression"]["golden"].values()] == [200]


def test_layers_stay_in_floats_by_the_growth_of_the_users_own_metric(
    report: dict[str, dict[str, Any]],
) -> None:
    metric = figures(report, "mixed")
    assert metric["name"] == "my_task:each"
    assert metric["file"] <= metric["given"] * 1.01


def test_an_anomaly_detector_is_judged_by_its_auc(report: dict[str, dict[str, Any]]) -> None:
    metric = figures(report, "anomalies")
    assert (metric["kind"], metric["name"]) == ("reconstruction", "auc")
    assert metric["file"] > 0.95


def test_a_regression_is_pruned_distilled_and_trained_with_8_bits_within_its_budget(
    report: dict[str, dict[str, Any]],
) -> None:
    metric, conversion = figures(report, "trained"), report["trained"]["conversion"]
    assert metric["name"] == "r2" and metric["higher_is_better"]
    assert metric["file"] > 0.9
    assert conversion["budget"]["held"]
    channels, distilled, quantized = conversion["step_records"]
    assert channels["found"]["macs"][1] < channels["found"]["macs"][0]
    losses = distilled["found"]["losses"]
    assert losses[-1] < losses[0]
    assert distilled["found"]["validation_accuracies"] == []
    assert quantized["found"]["same_class"] > 0.95


def test_without_labels_a_regression_is_held_to_the_models_own_answers(
    report: dict[str, dict[str, Any]],
) -> None:
    metric, conversion = figures(report, "unlabelled"), report["unlabelled"]["conversion"]
    assert (metric["kind"], metric["name"], metric["given"]) == ("regression", "r2", 1.0)
    assert 0.9 < metric["file"] < 1
    assert conversion["budget"]["held"]
    assert {split["name"]: split["origin"] for split in conversion["splits"]} == {
        "test": "x_test, no labels",
        "train": "some of x_train, no labels",
        "validation": "some of x_train, no labels",
    }


def test_loss_and_metric_may_be_the_users_own(
    report: dict[str, dict[str, Any]], folder: Path
) -> None:
    metric = figures(report, "own")
    assert metric["name"] == "my_task:worst"
    assert report["own"]["conversion"]["recipe"] == "sparse50_ptq_w8a8"
    zeros = report["own"]["conversion"]["step_records"][0]["found"]["zeros"]
    assert min(zeros.values()) >= 0.49


def test_an_autoencoder_is_trained_with_8_bits_on_its_own_input(
    report: dict[str, dict[str, Any]],
) -> None:
    metric = figures(report, "pictures")
    assert metric["kind"] == "reconstruction"
    # The pictures' own variance is 1: what comes back is the picture.
    assert metric["file"] < 0.02
    assert 'task = "raw"' in report["pictures"]["card"]


def test_a_conversion_with_a_metric_is_read_again(
    report: dict[str, dict[str, Any]], folder: Path
) -> None:
    plain = report["trained"]["conversion"]
    out = folder / "read"
    out.mkdir()
    (out / "conversion.json").write_text(json.dumps(plain))
    (out / "model.tflite").write_bytes(b"another")
    with pytest.raises(Exception, match="has digest"):  # so all of it was read
        read_conversion(out)
    assert Conversion.__dataclass_fields__["metric"].default is None


# What data teaches.


def opened(tmp_path: Path, form: InputForm, **arrays: Any) -> Dataset | None:
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return open_dataset(path, form, "0..255", 0)


RANDOM = np.random.default_rng(0)
X, X_TEST = RANDOM.normal(size=(40, 6)), RANDOM.normal(size=(10, 6))


def form(outputs: tuple[Any, ...], wish: TaskWish = TaskWish()) -> InputForm:  # noqa: B008 - frozen
    return InputForm((6,), max(2, int(np.prod(outputs))), outputs, wish)


KINDS = {
    "floats": ((2,), X[:, :2], X_TEST[:, :2], "regression"),
    "floats of one": ((1,), X[:, 0], X_TEST[:, 0], "regression"),
    "zeros and ones": ((1,), np.arange(40) % 2 * 1.0, np.arange(10) % 2 * 1.0, "classification"),
    "whole numbers": ((3,), np.arange(40) % 3, np.arange(10) % 3, "classification"),
    "one-hot": ((3,), np.eye(3)[np.arange(40) % 3], np.eye(3)[np.arange(10) % 3], "classification"),
    "the input": ((6,), X, X_TEST, "reconstruction"),
    "nothing": ((6,), None, None, "reconstruction"),
}


@pytest.mark.parametrize(("outputs", "y", "y_test", "kind"), KINDS.values(), ids=KINDS.keys())
def test_what_data_is_for_is_found_out(
    tmp_path: Path, outputs: tuple[int], y: np.ndarray | None, y_test: np.ndarray | None, kind: str
) -> None:
    labels = {} if y is None else {"y_train": y, "y_test": y_test}
    dataset = opened(tmp_path, form(outputs), x_train=X, x_test=X_TEST, **labels)
    assert dataset.task.kind == kind
    samples = dataset.read({"some": Selection("train", np.array([3, 7]))}, ignore)["some"]
    wanted = samples.right_answers(slice(None))
    if kind == "reconstruction":
        np.testing.assert_allclose(wanted, X[[3, 7]].astype("f4"))
    if kind == "regression":
        np.testing.assert_allclose(wanted, y[[3, 7]].reshape(2, *outputs).astype("f4"))


BROKEN = X[:, :2].copy()
BROKEN[4, 1] = np.nan
WRONG = {
    "nan": (TaskWish(), (2,), BROKEN, "y_train has NaN or infinity in 1 of 40.*sample 4"),
    "shape": (TaskWish("regression"), (2,), X[:, :3], r"y_train has the shape \(40, 3\)"),
    "classes": (TaskWish(), (4, 4), np.arange(40) % 3, "expected one row of scores"),
    "no input": (TaskWish("reconstruction"), (2,), X, r"takes \(6,\) and gives \(2,\)"),
    "anomalies": (TaskWish(metric="auc"), (6,), np.arange(40) % 2, "calls 20 samples anomalies"),
    "constant": (
        TaskWish("reconstruction", metric="auc"), (6,), np.zeros(40), "one kind of samples only"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("wish", "outputs", "y", "message"), WRONG.values(), ids=WRONG.keys())
def test_labels_that_do_not_fit_are_named(
    tmp_path: Path, wish: TaskWish, outputs: tuple[Any, ...], y: np.ndarray, message: str
) -> None:
    if wish.metric == "auc":
        wish = TaskWish("reconstruction", metric="auc")
    with pytest.raises(ConversionError, match=message) as caught:
        opened(tmp_path, form(outputs, wish), x_train=X, y_train=y, x_test=X_TEST, y_test=y[:10])
    assert caught.value.exit_code == 4
    assert caught.value.hint


# What a recipe says.

REFUSED = {
    "field": ({"purpose": "x"}, "field 'purpose' is unknown"),
    "kind": ({"kind": "ranking"}, "kind is 'ranking'"),
    "loss": ({"loss": "l7"}, "loss is 'l7'"),
    "metric": ({"kind": "regression", "metric": "auc"}, "metric is 'auc'.*task regression"),
    "weights": ({"class_weights": {"1": -1}}, "class_weights is"),
    "weights of": ({"kind": "regression", "class_weights": "balanced"}, "has no classes"),
    "way": ({"higher_is_better": 1}, "expected true or false"),
    "no table": ("regression", "expected a table"),
    "objects": ({"custom_objects": "layers.py"}, "custom_objects is 'layers.py'"),
}


@pytest.mark.parametrize(("table", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_task_that_is_wrong_is_refused_before_anything_starts(table: Any, message: str) -> None:
    with pytest.raises(ConversionError, match=message) as caught:
        parse_task(table, "mine.toml", Path())
    assert caught.value.exit_code == 3
    assert caught.value.hint


def test_a_recipe_says_what_a_model_is_for(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('schema = 1\n[task]\nkind = "regression"\nmetric = "my:own"\n')
    wish = load_recipe(str(path)).wish
    task = wish.task("regression")
    assert (task.loss, task.metric, task.higher_is_better) == ("mse", "my:own", False)
    assert [str(function) for function in wish.functions()] == ["my:own"]
    assert task.folder == tmp_path


# The figures.


def judged(metric: str, wanted: np.ndarray, answers: np.ndarray, labels: Any = None) -> Any:
    none = np.zeros(len(wanted), int)
    higher = metric in ("r2", "auc")
    task = Task("regression", "mse", metric, higher)
    return ScoredAnswers(task, wanted, answers, none if labels is None else labels)


def test_figures_are_what_their_names_say() -> None:
    random = np.random.default_rng(3)
    y = random.normal(2, 3, (50, 2))
    z = y + random.normal(0, 0.5, y.shape)
    assert judged("mae", y, z).value == pytest.approx(np.abs(y - z).mean())
    assert judged("mse", y, z).value == pytest.approx(((y - z) ** 2).mean())
    r2 = 1 - ((y - z) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum()
    assert judged("r2", y, z).value == pytest.approx(r2)


def test_auc_counts_pairs() -> None:
    random = np.random.default_rng(4)
    scores = random.integers(0, 9, 60).astype(float)  # with ties
    labels = random.integers(0, 2, 60)
    ones, zeros = scores[labels == 1][:, None], scores[labels == 0][None]
    pairs = (ones > zeros).mean() + 0.5 * (ones == zeros).mean()
    assert auc(scores, labels) == pytest.approx(pairs)


@pytest.mark.parametrize("metric", ["mae", "mse", "r2"])
def test_a_loss_is_a_share_of_the_models_figure_with_an_interval_around_it(metric: str) -> None:
    random = np.random.default_rng(5)
    y = random.normal(0, 1, (400, 1))
    before = y + random.normal(0, 0.3, y.shape)
    after = before + random.normal(0, 0.15, y.shape)
    drop = drop_of("test", judged(metric, y, before), judged(metric, y, after))
    assert drop.fraction > 0
    assert drop.interval[0] < drop.fraction < drop.interval[1]
    assert drop.lost > drop.won
    back = drop_of("test", judged(metric, y, after), judged(metric, y, before))
    assert back.fraction < 0


def test_the_interval_holds_the_true_loss_as_often_as_it_says() -> None:
    random = np.random.default_rng(6)
    held = 0
    true = np.sqrt(0.3**2 + 0.2**2) / 0.3 - 1  # of a mean absolute error of normal numbers
    for _ in range(200):
        y = np.zeros((300, 1))
        before = random.normal(0, 0.3, y.shape)
        after = before + random.normal(0, 0.2, y.shape)
        low, high = drop_of("test", judged("mae", y, before), judged("mae", y, after)).interval
        held += low <= true <= high
    # The model's own figure is taken as it is, which costs a little of the 95 %.
    assert 170 <= held <= 200


@pytest.mark.parametrize("samples", [2, 3, 4, 8, 30, 1000])
def test_the_interval_of_few_samples_is_as_wide_as_students(samples: int) -> None:
    random = np.random.default_rng(7)
    y = np.zeros((samples, 1))
    answers = random.normal(0, 1, y.shape)
    low, high = judged("mse", y, answers).interval
    errors = answers[:, 0] ** 2
    half = stats.t.ppf(0.975, samples - 1) * errors.std(ddof=1) / np.sqrt(samples)
    assert (low + high) / 2 == pytest.approx(errors.mean())
    assert (high - low) / 2 == pytest.approx(half, rel=2e-3)


def test_balanced_weights_give_every_class_the_same_say() -> None:
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    weights = np.array(class_weights("balanced", labels, 3, ()))
    assert (weights[labels]).sum() == pytest.approx(100)
    for number in range(3):
        assert weights[labels][labels == number].sum() == pytest.approx(100 / 3)


def test_the_weights_of_a_recipe_reach_the_samples_that_train(tmp_path: Path) -> None:
    wish = TaskWish(class_weights={"1": 4.0})
    labels = {"y_train": np.arange(40) % 2, "y_test": np.arange(10) % 2}
    dataset = opened(tmp_path, form((2,), wish), x_train=X, x_test=X_TEST, **labels)
    samples = dataset.read({"train": Selection("train", np.arange(40))}, ignore)["train"]
    assert samples.task.class_weights == (1.0, 4.0)


def test_training_gives_a_class_of_nine_times_the_weight_nine_times_the_say(tmp_path: Path) -> None:
    run_program("class_weights_report", tmp_path / "report.json")
    shares = json.loads((tmp_path / "report.json").read_text())
    # One sample in ten is of the class, and there is nothing to tell it by.
    assert shares["plain"] == pytest.approx(0.1, abs=0.05)
    assert shares["weighted"] == pytest.approx(0.5, abs=0.07)


def test_weights_are_given_by_number_or_by_name() -> None:
    labels = np.array([0, 1, 2])
    assert class_weights({"2": 3}, labels, 3, ()) == (1, 1, 3)
    assert class_weights({"bee": 0.5}, labels, 3, ("ant", "bee", "cow")) == (1, 0.5, 1)
    with pytest.raises(ConversionError, match="'wasp' is not a class"):
        class_weights({"wasp": 1}, labels, 3, ("ant", "bee", "cow"))
