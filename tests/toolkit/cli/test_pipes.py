"""A pipe in the place of a file is refused, and not waited for without end."""

import os
from pathlib import Path

import pytest

from tests.kedge import assert_refused, kedge
from tests.tiny_model import relu_model


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "model.tflite").write_bytes(relu_model())
    os.mkfifo(tmp_path / "pipe")
    add = ["target", "add", "here", "local", "--root", str(tmp_path / "root")]
    assert kedge(*add, cwd=tmp_path).code == 0
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "model.tflite", "--on", "here", "--input", "pipe"],
        ["bench", "model.tflite", "--on", "here", "--data", "pipe"],
        ["convert", "model.tflite", "--data", "pipe", "--out", "out"],
        ["inspect", "pipe"],
        ["push", "pipe", "--to", "here"],
    ],
)
def test_a_pipe_that_is_named_is_refused(arguments: list[str], project: Path) -> None:
    assert_refused(kedge(*arguments, cwd=project), 4, "pipe")


def test_a_pipe_named_kedge_toml_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "kedge.toml")
    assert_refused(kedge("target", "add", "x", "local", cwd=tmp_path), 3, "is no regular file")


def test_a_pipe_beside_a_model_is_no_evidence(project: Path) -> None:
    os.mkfifo(project / "conversion.json")
    ran = kedge(
        *("bench", "model.tflite", "--on", "here", "--quality", "quick", "--duration", "50ms"),
        cwd=project,
    )
    assert ran.code in (0, 9), ran.err
