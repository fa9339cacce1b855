"""Backups of the journal, the way back from one, and a journal that is rebuilt from the boards."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from device_agent.contract.codes import IntegrityError
from device_agent.contract.release_state import AppState, BoardReleases, TrialState
from tests.toolkit.fleet.fleets import SimulatedRollout, names
from tests.toolkit.fleet.simulated_boards import GOOD
from tests.toolkit.fleet.test_simulation import run_until_killed
from toolkit.fleet.decide import DONE
from toolkit.fleet.journal import open_journal
from toolkit.fleet.journal_copies import EPOCHS_AHEAD, backup_journal, restore_journal
from toolkit.fleet.journal_file import JournalError, LeaseError
from toolkit.fleet.policy import Policy, WaveSize
from toolkit.fleet.rebuild import rebuild_journal
from toolkit.fleet.states import CONFIRMED

POLICY = Policy(waves=(WaveSize(count=3), WaveSize(fraction=1)))


@pytest.fixture
def rollout(tmp_path: Path) -> SimulatedRollout:
    faults = dict.fromkeys(names(12), GOOD)
    return SimulatedRollout(tmp_path / ".kedge" / "fleet.db", faults, POLICY)


def test_a_rollout_goes_on_from_a_backup_of_its_middle(
    rollout: SimulatedRollout, tmp_path: Path
) -> None:
    run_until_killed(rollout, 25)
    backup = tmp_path / "backup.db"
    with open_journal(rollout.path) as journal:
        before = list(journal.history())
        backup_journal(journal, backup)
    run_until_killed(rollout, 20)
    activations = {name: board.activations for name, board in rollout.boards.boards.items()}
    assert sum(activations.values()) > 3

    last, aside = restore_journal(backup, rollout.path, "Grace")

    assert last == len(before)
    assert aside is not None
    with open_journal(rollout.path) as journal:
        rows = list(journal.history())
        assert rows[: len(before)] == before
        assert [row.kind for row in rows[len(before) :]] == ["lease", "restore"]
        assert rows[-1].who == "Grace"
        assert rows[-1].epoch > EPOCHS_AHEAD
    with open_journal(aside) as journal:
        assert len(list(journal.history())) > len(before)
    assert rollout.run().kind == DONE
    assert rollout.states() == {CONFIRMED: 12}
    # Nothing is activated twice: the boards are asked first.
    assert {board.activations for board in rollout.boards.boards.values()} == {1}


def test_a_backup_is_taken_while_a_controller_runs(
    rollout: SimulatedRollout, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.db"
    with open_journal(rollout.path) as journal:
        journal.take_lease("Ada")
        with open_journal(rollout.path) as reader:
            backup_journal(reader, backup)
        with pytest.raises(LeaseError, match="another controller runs"):
            restore_journal(backup, rollout.path, "Grace")
        with pytest.raises(JournalError, match="exists already"):
            backup_journal(journal, backup)
    with open_journal(backup) as journal:
        assert journal.verify_chain() == ()


def test_a_damaged_backup_is_refused_and_the_journal_stays(
    rollout: SimulatedRollout, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.db"
    with open_journal(rollout.path) as journal:
        backup_journal(journal, backup)
    before = rollout.path.read_bytes()
    with closing(sqlite3.connect(backup)) as database, database:
        database.execute("UPDATE entry SET who = 'Eve' WHERE number = 2")

    with pytest.raises(IntegrityError, match="row 2 was changed"):
        restore_journal(backup, rollout.path, "Grace")
    backup.write_bytes(b"no database" * 1000)
    with pytest.raises(JournalError, match="backup.db cannot be used: file is not a database"):
        restore_journal(backup, rollout.path, "Grace")
    with pytest.raises(JournalError, match="there is no backup"):
        restore_journal(tmp_path / "absent", rollout.path, "Grace")

    assert rollout.path.read_bytes() == before
    assert [path.name for path in rollout.path.parent.glob(".journal-*")] == []


def app(current: str, counter: int, trial: TrialState | None = None) -> AppState:
    return AppState(
        current, "", f"v{counter}", "cpu", 77.0, "order", counter, counter, 0, "confirm", "", trial
    )


def test_a_lost_journal_is_rebuilt_from_what_the_boards_report(tmp_path: Path) -> None:
    on_trial = TrialState("a" * 64, "b" * 64, "order", 9, 30.0, True)
    reports = {
        "one": BoardReleases({"detector": app("a" * 64, 4), "gate": app("c" * 64, 2)}, epoch=9),
        "two": BoardReleases({"detector": app("a" * 64, 5)}, epoch=17),
        "three": BoardReleases({"detector": app("b" * 64, 6, on_trial)}, epoch=3),
        "four": BoardReleases({"detector": app("b" * 64, 6)}),
        "five": BoardReleases(),
    }
    path = tmp_path / "fleet.db"
    with open_journal(path) as journal:
        rollouts = rebuild_journal(journal, reports, "Grace", 1000.0)

        assert journal.epoch == 18
        assert journal.verify_chain() == ()
        lines = {line.start.release[0]: line for line in journal.rollouts()}
        assert {line.start.kind for line in lines.values()} == {"rebuild"}
        assert {line.status for line in lines.values()} == {"done"}
        assert lines["a"].start.facts["order_counter"] == 6
        assert lines["a"].start.operator == "Grace"
        boards = {
            release: [board.target for board in journal.states(line.number)]
            for release, line in lines.items()
        }
        assert boards == {"a": ["one", "three", "two"], "b": ["four"], "c": ["one"]}
        assert len(rollouts) == 3
        with pytest.raises(JournalError, match="has 3 rollouts, so it is not lost"):
            rebuild_journal(journal, reports, "Grace", 1000.0)
