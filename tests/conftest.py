"""The boards, as fixtures: each starts once for all the tests that use it."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.boards import KINDS, BoardUnderTest, start_board

# What stands in the ~/.ssh/config of whoever runs the tests is none of theirs.
os.environ["KEDGE_SSH_CONFIG"] = "none"

# A shell's background jobs ignore Ctrl-C, and so would all that the tests start from there.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Ends a run whose tests load TensorFlow: other runtimes answer wrongly in its process."""
    if "tensorflow" in sys.modules:
        pytest.exit("a test file imports TensorFlow; let it run a program instead", returncode=4)


@pytest.fixture(scope="session")
def local_board() -> Iterator[BoardUnderTest]:
    with start_board("local") as board:
        yield board


@pytest.fixture(scope="session")
def ssh_board() -> Iterator[BoardUnderTest]:
    with start_board("ssh") as board:
        yield board


@pytest.fixture(scope="session")
def arm64_board() -> Iterator[BoardUnderTest]:
    with start_board("arm64") as board:
        yield board


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(kind, marks=[pytest.mark.arm64] if kind == "arm64" else []) for kind in KINDS
    ],
)
def board(request: pytest.FixtureRequest) -> BoardUnderTest:
    """Each kind of board in turn."""
    found = request.getfixturevalue(f"{request.param}_board")
    assert isinstance(found, BoardUnderTest)
    return found
