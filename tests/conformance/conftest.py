"""A project for each board, and a model that was really trained and converted."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boards import BoardUnderTest
from tests.kedge import kedge
from tests.shared_folder import fill_once


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained model, its data, and its conversions `int8/`, in both formats, and
    `float32/`."""
    return fill_once(tmp_path_factory, "digits", _train_and_convert)


def _train_and_convert(folder: Path) -> None:
    command = [sys.executable, "-m", "converters.digits_cnn", "--out", ".", "--epochs", "4"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    for recipe, out in (("ptq_w8a8", "int8"), ("float32", "float32")):
        both = ("--format", "both") if out == "int8" else ()
        ran = kedge(
            "convert", "digits.keras", "--data", "digits.npz", "--recipe", recipe, "--out", out,
            *both, cwd=folder,
        )  # fmt: skip
        assert ran.code == 0, ran.err


def add_arguments(board: BoardUnderTest) -> list[str]:
    """What `kedge target add` is told about a board."""
    arguments = ["target", "add", board.name, board.address, "--root", board.root]
    if board.identity is not None and board.host_key is not None:
        arguments += ["--identity", str(board.identity), "--host-key", board.host_key]
    return arguments


@pytest.fixture(scope="session")
def project(
    board: BoardUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, BoardUnderTest]]:
    """A project folder in which the board was added."""
    folder = tmp_path_factory.mktemp(f"project-{board.kind}")
    ran = kedge(*add_arguments(board), cwd=folder)
    assert ran.code == 0, ran.err
    yield folder, board
