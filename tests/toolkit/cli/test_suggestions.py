"""A wrong name is answered with the nearest one, and never with one that destroys."""

import os
from pathlib import Path

import pytest

from tests.kedge import assert_refused, kedge


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [(["benhc"], "bench"), (["target", "chek"], "check"), (["results", "exprt"], "export")],
)
def test_a_wrong_command_is_answered_with_the_nearest(
    arguments: list[str], nearest: str, tmp_path: Path
) -> None:
    ran = kedge(*arguments, cwd=tmp_path)
    assert ran.code == 2
    assert f"Did you mean '{nearest}'?" in ran.err


@pytest.mark.parametrize("arguments", [["target", "remov"], ["results", "delet"]])
def test_a_command_that_destroys_is_not_suggested(arguments: list[str], tmp_path: Path) -> None:
    ran = kedge(*arguments, cwd=tmp_path)
    assert ran.code == 2
    assert "Did you mean" not in ran.err


def test_a_wrong_target_is_answered_with_the_nearest(tmp_path: Path) -> None:
    assert kedge("target", "add", "here", "local", cwd=tmp_path).code == 0
    ran = kedge("target", "check", "hree", cwd=tmp_path)
    assert_refused(ran, 3, "Did you mean here?", "kedge target add hree")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("int8", "ptq_w8a8"), ("qat", "qat_w8a8"), ("ptq_w8a6", "ptq_w8a16"), ("mixed", "mixed_w8a8")],
)
def test_a_wrong_recipe_is_answered_with_the_nearest(
    name: str, nearest: str, tmp_path: Path
) -> None:
    assert_refused(kedge("recipes", "show", name, cwd=tmp_path), 3, nearest, "kedge recipes")


def test_a_recipe_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "own.toml")
    assert_refused(kedge("recipes", "show", "own.toml", cwd=tmp_path), 3, "no regular file")


def test_recipes_are_listed_and_one_shown_is_a_recipe(tmp_path: Path) -> None:
    listed = kedge("recipes", "--json", cwd=tmp_path).json["recipes"]
    assert {"qat_w8a8", "float32"} <= {entry["name"] for entry in listed}
    assert all(entry["summary"] for entry in listed)

    shown = kedge("recipes", "show", "qat_w8a8", cwd=tmp_path)
    (tmp_path / "own.toml").write_text(shown.out)
    own = kedge("recipes", "show", "own.toml", "--json", cwd=tmp_path).json
    assert [step["kind"] for step in own["steps"]] == ["qat_w8a8"]


@pytest.mark.parametrize("arguments", [["--debug", "push", "x"], ["push", "x", "--debug"]])
def test_debug_shows_versions_and_the_traceback_of_any_error(
    arguments: list[str], tmp_path: Path
) -> None:
    ran = kedge(*arguments, cwd=tmp_path)
    assert ran.code == 3
    assert "paramiko" in ran.err
    assert "Traceback" in ran.err


@pytest.mark.parametrize("option", ["--max-regression", "--max-drop"])
def test_a_whole_number_where_a_share_is_meant_is_refused_with_the_right_spelling(
    option: str, tmp_path: Path
) -> None:
    commands = {
        "--max-regression": ["compare", "a.tflite", "b.tflite"],
        "--max-drop": ["convert", "m.h5", "--data", "d.npz", "--out", "out"],
    }
    for number in ("5", "1"):
        ran = kedge(*commands[option], option, number, cwd=tmp_path)
        assert ran.code == 2
        assert f"write {number}%" in ran.err


def test_help_is_also_a_command(tmp_path: Path) -> None:
    for words in (
        ["help", "target", "add"],
        ["target", "help", "add"],
        ["target", "add", "--help"],
    ):
        ran = kedge(*words, cwd=tmp_path)
        assert ran.code == 0
        assert "Usage: kedge target add" in ran.out
    assert "convert-and-push" in kedge("help", cwd=tmp_path).out


def test_results_take_the_options_of_their_list(tmp_path: Path) -> None:
    (tmp_path / "kedge.toml").write_text('[targets.here]\naddress = "local"\n')
    assert kedge("results", "--on", "here", "--last", "2", "--json", cwd=tmp_path).code == 0
    ran = kedge("results", "--last", "2", "show", "1", cwd=tmp_path)
    assert ran.code == 2
    assert "write --last behind show" in ran.err
