"""`target remove` on a board that has releases: an application may have one open."""

from pathlib import Path

import pytest

from targets.errors import TargetError
from targets.inventory import Target
from targets.provision import open_device, remove_from_board
from tests.device_agent.agents import files_below
from tests.device_agent.releases.session import SampleBoard
from tests.device_agent.releases.signed import SampleRelease


@pytest.fixture
def here(tmp_path: Path) -> Target:
    target = Target("here", "local", root=str(tmp_path / "root"))
    with open_device(target):
        pass
    return target


def test_an_active_release_stays_unless_it_is_named(here: Target) -> None:
    board = SampleBoard(Path(here.root))
    board.enrol()
    board.release(SampleRelease(1), 1)
    before = files_below(board.root)
    with pytest.raises(TargetError, match="active release of sorter") as refused:
        remove_from_board(here)

    assert "--with-releases" in refused.value.hint
    assert files_below(board.root) == before
    assert remove_from_board(here, with_releases=True)
    assert not board.root.exists()


def test_a_board_without_an_active_release_is_emptied(here: Target) -> None:
    board = SampleBoard(Path(here.root))
    board.enrol()
    board.stage(SampleRelease(1))

    assert remove_from_board(here)
    assert not board.root.exists()
