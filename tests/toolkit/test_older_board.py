"""A board on which only tflite-runtime loads: an older Python comes first on the PATH."""

import os
from pathlib import Path

import pytest

from tests.kedge import Ran, assert_refused, kedge
from tests.tiny_model import relu_model, too_new_model

#: ai-edge-litert has no wheel for it, tflite-runtime has.
OLDER = "3.9"
FOUND = sorted((Path.home() / ".pyenv" / "versions").glob(f"{OLDER}.*/bin"))

pytestmark = pytest.mark.skipif(not FOUND, reason=f"no Python {OLDER} of pyenv here")


def on_older_board(*arguments: str, cwd: Path) -> Ran:
    hidden = cwd / "hidden"  # what a version manager leaves of a Python that is not switched on
    hidden.mkdir(exist_ok=True)
    for minor in range(10, 16):
        (hidden / f"python3.{minor}").write_text("#!/bin/sh\nexit 127\n")
        (hidden / f"python3.{minor}").chmod(0o755)
    path = f"{hidden}:{FOUND[0]}:{os.environ['PATH']}"
    return kedge(*arguments, cwd=cwd, env={"PATH": path})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    add = ["target", "add", "old", "local", "--root", str(tmp_path / "root")]
    assert on_older_board(*add, cwd=tmp_path).code == 0
    return tmp_path


def test_tflite_runtime_is_chosen_and_runs_there(project: Path) -> None:
    (project / "model.tflite").write_bytes(relu_model())
    ran = on_older_board(
        "bench", "model.tflite", "--on", "old", "--duration", "60ms", "--json", cwd=project
    )
    entry = ran.json["targets"][0]
    assert entry["runtime"].startswith("tflite-runtime 2.14.0")
    assert entry["parity"]["same_class"] is False
    assert entry["parity"]["verdict"] == "EQUAL"
    assert ran.code in {0, 9}, ran.err


@pytest.mark.parametrize("command", [["push", "--to"], ["bench", "--on"]])
def test_a_model_that_its_runtime_cannot_load_is_not_sent(
    project: Path, command: list[str]
) -> None:
    (project / "new.tflite").write_bytes(too_new_model())
    ran = on_older_board(command[0], "new.tflite", command[1], "old", cwd=project)
    assert_refused(ran, 4, "FULLY_CONNECTED version 12", "2.17", "old cannot load")
    assert not list((project / "root").glob("store/scratch/*"))
