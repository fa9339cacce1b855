"""`kedge fleet journal` over real boards: the journal is lost, and found again."""

from pathlib import Path

from tests.boards import require_board_parts
from tests.kedge import assert_refused
from tests.toolkit.fleet.loopback_fleet import loopback_fleet
from tests.toolkit.fleet.policies import QUICK


def test_a_lost_journal_comes_back_from_a_backup_or_from_the_boards(tmp_path: Path) -> None:
    require_board_parts("ssh")
    with loopback_fleet(tmp_path, {"ant": "good", "bee": "good"}) as fleet:
        policy = fleet.policy(QUICK)
        journal = fleet.folder / ".kedge" / "fleet.db"
        first, second = fleet.bundle("first"), fleet.bundle("second")
        assert fleet.rollout(first, "--policy", policy).code == 0
        backup = fleet.run("fleet", "journal", "backup", "backup.db")
        assert backup.code == 0, backup.err

        for path in journal.parent.glob("fleet.db*"):
            path.unlink()
        rebuilt = fleet.run("fleet", "journal", "rebuild")
        assert rebuilt.code == 0, rebuilt.err
        assert rebuilt.out.startswith("detector ")
        assert rebuilt.out.endswith("first: 2 boards\n")
        twice = fleet.run("fleet", "journal", "rebuild")
        assert_refused(twice, 3, "has 1 rollouts, so it is not lost")
        nowhere = fleet.run("fleet", "rollback", "--bundle", first, "--sign", "release_key")
        assert_refused(nowhere, 3, "does not know to which targets", "--to")
        # Counters and epochs go on where the boards are: nothing is refused as a replay.
        ran = fleet.rollout(second, "--policy", policy)
        assert ran.code == 0, ran.err

        old = fleet.run("fleet", "plan", first, "--to", "fleet=all", "--json")
        assert old.code == 8
        for board in old.json["targets"]:
            assert any("has confirmed release 2, this one is 1" in r for r in board["refusals"])

        restored = fleet.run("fleet", "journal", "restore", "backup.db")
        assert restored.code == 0, restored.err
        assert "the journal that was there is now" in restored.err
        # The backup does not know the second rollout, whose release the boards run.
        assert fleet.run("fleet", "status").code == 8
    for path in journal.parent.glob("fleet.db*"):
        path.unlink()
    silent = fleet.run("fleet", "journal", "rebuild")
    assert silent.code == 6
    assert "Nothing was written" in silent.err
