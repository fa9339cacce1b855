"""`kedge convert-and-push`: several recipes, a budget, and folders of other models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kedge import assert_refused, kedge


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that was hardly trained, its data, and a target."""
    folder = tmp_path_factory.mktemp("convert_and_push")
    subprocess.run(
        [sys.executable, "-m", "converters.digits_cnn", "--out", str(folder), "--epochs", "2"],
        check=True,
        capture_output=True,
    )
    add = ("target", "add", "here", "local", "--root", str(folder / "board"))
    assert kedge(*add, cwd=folder).code == 0
    return folder


RUN = ("convert-and-push", "digits.keras", "--data", "digits.npz", "--quality", "quick")


def test_a_file_is_sent_and_measured_and_its_folder_is_not_taken_by_another_model(
    project: Path,
) -> None:
    ran = kedge(*RUN, "--json", cwd=project)
    assert ran.code in (0, 9), ran.err
    (entry,) = ran.json["targets"]
    assert (entry["name"], entry["recipe"]) == ("here", "ptq_w8a8")
    assert (project / "kedge-out" / "digits" / "model.tflite").is_file()
    listed = kedge("results", "list", "--json", cwd=project).json["results"]
    assert listed[0]["recipe"] == "ptq_w8a8"

    (project / "other").mkdir(exist_ok=True)
    shutil.copy(project / "digits.keras", project / "other" / "digits.keras")
    refused = kedge(RUN[0], "other/digits.keras", *RUN[2:], cwd=project)
    assert_refused(refused, 3, "holds files of another model", "--out")
    earlier = json.loads((project / "kedge-out" / "digits" / "conversion.json").read_text())
    assert earlier["source"] == str(project / "digits.keras")


def test_of_several_recipes_a_budget_sends_the_chosen_one(project: Path) -> None:
    recipes = ("--recipe", "float32,ptq_w8a8", "--out", "two")
    ran = kedge(*RUN, *recipes, "--max-drop", "50%", "--json", cwd=project)
    assert ran.code in (0, 9), ran.err
    assert ran.json["comparison"]["chosen"] == "ptq_w8a8"
    assert [entry["recipe"] for entry in ran.json["targets"]] == ["ptq_w8a8"]

    both = kedge(*RUN, *recipes, "--json", cwd=project)
    assert [entry["recipe"] for entry in both.json["targets"]] == ["float32", "ptq_w8a8"]
    assert "load TensorFlow" not in both.err


def test_several_boards_get_the_file_and_one_that_is_off_is_named_first(project: Path) -> None:
    folder = project / "several"
    folder.mkdir()
    boards = [f'[targets.{name}]\naddress = "local"\nroot = "{folder}/{name}"' for name in "ab"]
    off = f'[targets.off]\naddress = "me@127.0.0.1:1"\nhost_key = "SHA256:{"A" * 43}"'
    (folder / "kedge.toml").write_text("\n".join([*boards, off]))
    command = (RUN[0], "../digits.keras", "--data", "../digits.npz", "--quality", "quick")

    assert_refused(kedge(*command, "--to", "a,off", cwd=folder), 6, "cannot connect to 127.0.0.1")
    assert not (folder / "kedge-out").exists()
    ran = kedge(*command, "--to", "b,a", "--json", cwd=folder)
    assert ran.code in (0, 9), ran.err
    assert [entry["name"] for entry in ran.json["targets"]] == ["b", "a"]
    kept = kedge("results", "list", "--json", cwd=folder).json["results"]
    assert {line["target"] for line in kept} == {"a", "b"}


def test_a_file_over_budget_is_not_sent(project: Path) -> None:
    wild = (
        'schema = 1\n[[step]]\nkind = "tune"\nepochs = 1\nlearning_rate = 0.5\n'
        '[[step]]\nkind = "ptq_f16"\n'
    )
    for name in ("wild.toml", "wilder.toml"):
        (project / name).write_text(wild)
    before = len(kedge("results", "list", "--json", cwd=project).json["results"])
    several = ("--recipe", "wild.toml,wilder.toml", "--max-drop", "1%", "--out", "bad")
    ran = kedge(*RUN, *several, cwd=project)
    assert ran.code == 8, ran.err
    assert "--max-drop: not held, more than 1.00% lost" in ran.out
    after = len(kedge("results", "list", "--json", cwd=project).json["results"])
    assert after == before
