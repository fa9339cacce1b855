"""Mixed samples: what is mixed with what, by which shares, and which models cannot be mixed."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from converters.data.fields import join_fields
from converters.data.task import CLASSIFIER, SEGMENTATION, Task
from converters.errors import ConversionError
from converters.recipe.fits_model import check_inputs_outputs, check_task
from converters.recipe.recipe import parse_recipe
from converters.recipe.step import CUTMIX, MIXUP, MIXUP_CUTMIX
from converters.sources.inputs_outputs import ModelTensor
from converters.training.mixing import Mixing, draw_mixing, mixed_task
from tests.converters.conftest import run_program

PICTURES = (512, 8, 8, 3)


def draw(mix: str, alpha: float = 1.0, seed: int = 0) -> Mixing:
    return draw_mixing(mix, alpha, PICTURES, np.random.default_rng(seed))


def test_mixup_is_the_weighted_mean_of_two_samples() -> None:
    mixing = Mixing(np.array([1, 0]), np.array([0.75, 0.5], np.float32))
    mixed = mixing.mix_inputs(np.array([[4.0, 8.0], [0.0, 0.0]]))
    assert mixed.tolist() == [[3.0, 6.0], [2.0, 4.0]]
    assert mixed.dtype == np.float32
    assert mixing.mix_answers(np.eye(2)).tolist() == [[0.75, 0.25], [0.5, 0.5]]


def test_several_inputs_are_mixed_by_one_share() -> None:
    mixing = Mixing(np.array([1, 0]), np.array([0.75, 0.5], np.float32))
    batch = join_fields({"a": np.array([4.0, 0.0]), "b": np.array([[8.0], [4.0]])})
    mixed = mixing.mix_inputs(batch)
    assert mixed["a"].tolist() == [3.0, 2.0]
    assert mixed["b"].tolist() == [[7.0], [6.0]]


def test_cutmix_exchanges_one_rectangle_and_its_area_is_the_share() -> None:
    mixing = draw(CUTMIX)
    own = np.zeros(PICTURES, np.float32)
    own[:] = np.arange(len(own))[:, None, None, None]
    mixed = mixing.mix_inputs(own)
    for row, picture in enumerate(mixed):
        is_other = (picture == mixing.partners[row]).all(axis=-1)
        if mixing.partners[row] == row:
            continue
        assert (is_other | (picture == row).all(axis=-1)).all()
        rows, columns = is_other.any(axis=1), is_other.any(axis=0)
        assert is_other.sum() == rows.sum() * columns.sum()
        assert mixing.shares[row] == pytest.approx(1 - is_other.mean())
    assert 0.3 < mixing.shares.mean() < 0.7


def test_both_ways_are_taken_as_often() -> None:
    weights = draw(MIXUP_CUTMIX).weights
    is_rectangle = np.isin(weights, (0, 1)).all(axis=(1, 2))
    assert 0.4 < is_rectangle.mean() < 0.6


def test_a_small_alpha_mixes_little() -> None:
    share = draw(MIXUP, alpha=0.1).shares
    assert np.minimum(share, 1 - share).mean() < 0.1
    assert np.minimum(draw(MIXUP).shares, 1 - draw(MIXUP).shares).mean() == pytest.approx(0.25, 0.1)


def test_the_seed_decides() -> None:
    one, same, other = draw(CUTMIX), draw(CUTMIX), draw(CUTMIX, seed=1)
    assert (one.partners == same.partners).all()
    assert (one.weights == same.weights).all()
    assert (one.partners != other.partners).any()


def test_mixed_samples_have_soft_labels() -> None:
    regression = Task("regression", "mse", "mae", False)
    task = mixed_task(Task(parts={"kind": CLASSIFIER, "amount": regression}))
    assert task.parts["kind"].soft_labels
    assert not task.parts["amount"].soft_labels


def source(*inputs: ModelTensor) -> Any:
    return SimpleNamespace(
        path="m.keras", inputs=inputs, outputs=(ModelTensor("y", (3,)),), unused=()
    )


def recipe(mix: str) -> Any:
    step = {"kind": "distill", "mix": mix}
    return parse_recipe({"schema": 1, "step": [step]}, "mine")


SERIES = ModelTensor("x", (100, 3))
PICTURE = ModelTensor("picture", (8, 8, 3))


def test_words_are_not_mixed() -> None:
    with pytest.raises(ConversionError, match=r"'words' takes whole numbers \(int32\)"):
        check_inputs_outputs(recipe("mixup"), source(ModelTensor("words", (20,), "int32")))


@pytest.mark.parametrize("mix", ["cutmix", "mixup_cutmix"])
@pytest.mark.parametrize("inputs", [(SERIES,), (PICTURE, SERIES)])
def test_rectangles_are_for_a_picture(mix: str, inputs: tuple[ModelTensor, ...]) -> None:
    with pytest.raises(ConversionError, match="rectangles of one picture") as caught:
        check_inputs_outputs(recipe(mix), source(*inputs))
    assert "mixup" in caught.value.hint


def test_anything_of_real_numbers_is_mixed() -> None:
    check_inputs_outputs(recipe("mixup"), source(SERIES))
    check_inputs_outputs(recipe("mixup"), source(PICTURE, SERIES))
    check_inputs_outputs(recipe("mixup_cutmix"), source(PICTURE))


def test_masks_are_not_mixed_without_their_pictures() -> None:
    task = Task(parts={"kind": CLASSIFIER, "mask": Task(SEGMENTATION)})
    for one in (task, Task(SEGMENTATION)):
        with pytest.raises(ConversionError, match="mix changes pictures, and not the masks"):
            check_task(recipe("mixup"), one)
    check_task(recipe("mixup"), CLASSIFIER)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """See mixed_report.py."""
    path = tmp_path_factory.mktemp("mixed") / "report.json"
    run_program("mixed_report", path)
    return json.loads(path.read_text())


def test_the_teacher_answers_the_very_batch_that_the_student_gets(report: dict[str, Any]) -> None:
    assert report["teacher_saw_student_batch"]
    assert report["is_mixed"]
    assert report["labels_are_shares"]


def test_an_epoch_is_mixed_alike_each_time_and_the_next_one_otherwise(
    report: dict[str, Any],
) -> None:
    assert report["same_epoch_again"]
    assert report["next_epoch_differs"]


def test_classes_count_by_their_weights_in_mixed_labels(report: dict[str, Any]) -> None:
    """-sum of weight * share * log probability, of the shares 0.75 and 0.25, weights 2 and 1."""
    logs = np.log([0.5, 0.3, 0.2])
    assert report["weighted_loss"] == pytest.approx(-(2 * 0.75 * logs[0] + 0.25 * logs[2]), 1e-5)


@pytest.mark.parametrize("case", ["classification", "regression", "several"])
def test_every_task_learns_from_mixed_samples(report: dict[str, Any], case: str) -> None:
    first, *_, last = report["losses"][case]
    assert last < first
