"""The journal: its chain, its lease, and files that somebody else prepared or damaged."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.kedge import kedge
from tests.toolkit.fleet.fleets import START, SimulatedRollout, members_of, names
from tests.toolkit.fleet.simulated_boards import CRASH, GOOD
from toolkit.fleet.chain import MOST_BODY_BYTES
from toolkit.fleet.journal import open_journal
from toolkit.fleet.journal_file import (
    DamagedJournalError,
    JournalDiskError,
    JournalError,
    LeaseError,
)
from toolkit.fleet.journal_records import JournalNote, RolloutStart
from toolkit.fleet.policy import Allowance, Policy, WaveSize
from toolkit.fleet.waves import Member, plan_waves

POLICY = Policy(waves=(WaveSize(fraction=1),), failure_budget=Allowance(1, 1.0))


@pytest.fixture
def finished(tmp_path: Path) -> SimulatedRollout:
    """A rollout over five boards, of which one crashes."""
    faults = {**dict.fromkeys(names(5), GOOD), names(1)[0]: CRASH}
    rollout = SimulatedRollout(tmp_path / "fleet.db", faults, POLICY)
    rollout.run()
    return rollout


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)


def problems(path: Path) -> tuple[str, ...]:
    with open_journal(path) as journal:
        return journal.verify_chain()


def test_the_history_says_who_did_what_when_and_on_what_evidence(
    finished: SimulatedRollout,
) -> None:
    with open_journal(finished.path) as journal:
        (line,) = journal.rollouts()
        rows = list(journal.history(finished.number, names(1)[0]))
        assert journal.verify_chain() == ()

    assert line.start == START
    assert line.status == "stopped"
    assert line.reasons == ("wave 1: 1 of 5 failed, and the failure budget of the wave is 1",)
    assert line.boards["reverted"] == 1
    assert {row.who for row in rows} == {"Ada"}
    assert [row.at for row in rows] == sorted(row.at for row in rows)
    steps = [(row.kind, row.body["step"]) for row in rows]
    assert steps[:4] == [
        ("intent", "stage"),
        ("result", "stage"),
        ("intent", "probe"),
        ("result", "probe"),
    ]
    (refusal,) = [row.body for row in rows if row.body.get("result") == "failed"]
    assert refusal["step"] == "health"
    assert refusal["fingerprint"] == "gate health"
    assert "model.tflite: aborted" in refusal["reason"]


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE entry SET body = body || ' ' WHERE number = 7", "row 7 was changed"),
        ("UPDATE entry SET at = at + 1 WHERE number = 7", "row 7 was changed"),
        ("UPDATE entry SET who = 'Eve' WHERE number = 7", "row 7 was changed"),
        ("UPDATE entry SET target = 'x' WHERE number = 7", "row 7 was changed"),
        ("UPDATE entry SET epoch = 9 WHERE number = 7", "row 7 was changed"),
        ("UPDATE entry SET hash = x'00' WHERE number = 7", "row 7 was changed"),
        ("DELETE FROM entry WHERE number = 7", "row 7 is missing"),
        ("DELETE FROM entry WHERE number BETWEEN 7 AND 9", "rows 7-9 are missing"),
        ("DELETE FROM entry WHERE number = 1", "row 1 is missing"),
        ("UPDATE board SET state = 'confirmed' WHERE target = 'board00000'", "by its table"),
        ("DELETE FROM board WHERE target = 'board00003'", "board00003 is missing"),
        ("UPDATE rollout SET status = 'done'", "its status differs"),
        ("DELETE FROM entry WHERE number > 20", "the last rows, 21 to"),
    ],
)
def test_a_row_that_was_changed_or_removed_is_named(
    finished: SimulatedRollout, statement: str, problem: str
) -> None:
    change(finished.path, statement)

    assert problem in problems(finished.path)[0]


def test_rows_that_were_swapped_or_inserted_are_named(finished: SimulatedRollout) -> None:
    swap = (
        "UPDATE entry SET number = -7 WHERE number = 7",
        "UPDATE entry SET number = 7 WHERE number = 8",
        "UPDATE entry SET number = 8 WHERE number = -7",
    )
    change(finished.path, *swap)
    assert [problem[:6] for problem in problems(finished.path)] == ["row 7 ", "row 8 ", "row 9 "]

    change(finished.path, *swap)
    assert problems(finished.path) == ()

    change(
        finished.path,
        "UPDATE entry SET number = -number - 1 WHERE number >= 7",
        "UPDATE entry SET number = -number WHERE number < 0",
        "INSERT INTO entry SELECT 7, at, epoch, who, rollout, kind, target, body, hash "
        "FROM entry WHERE number = 6",
    )
    assert problems(finished.path)[0] == "row 7 was changed, inserted or moved"
    change(finished.path, "DELETE FROM entry WHERE number > 6")
    change(finished.path, "UPDATE head SET number = 6")
    assert problems(finished.path) == ("row 6, the last one, was exchanged",)


def test_damage_in_the_file_is_one_sentence(finished: SimulatedRollout) -> None:
    content = bytearray(finished.path.read_bytes())
    content[4096:8192] = os.urandom(4096)
    finished.path.write_bytes(content)

    with pytest.raises(JournalError, match="cannot be used") as refused:
        problems(finished.path)

    assert "Restore a backup" in refused.value.hint


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET body = '{\"app\": 5}' WHERE kind = 'begin'",
        "UPDATE entry SET body = '[' WHERE kind = 'begin'",
        "UPDATE entry SET at = 'noon'",
        "UPDATE board SET member = '[]'",
        "UPDATE rollout SET reasons = '5'",
    ],
)
def test_rows_of_another_form_are_damage(finished: SimulatedRollout, statement: str) -> None:
    change(finished.path, statement)
    with open_journal(finished.path) as journal, pytest.raises(DamagedJournalError) as damage:
        journal.rollouts()
        list(journal.states(1))
        list(journal.history())

    assert damage.value.exit_code == 5
    assert "rebuild" in damage.value.hint


def test_a_wish_needs_no_lease_and_is_in_the_chain(tmp_path: Path) -> None:
    rollout = SimulatedRollout(tmp_path / "fleet.db", dict.fromkeys(names(3), GOOD), POLICY)
    with open_journal(rollout.path) as journal:
        journal.wish(rollout.number, "pause", "Grace", "lunch")
        assert journal.wishes(rollout.number).pause

    decision = rollout.run()

    assert (decision.kind, decision.reasons) == ("pause", ("lunch",))
    with open_journal(rollout.path) as journal:
        journal.wish(rollout.number, "resume", "Grace")
        assert not journal.wishes(rollout.number).pause
    assert rollout.run().kind == "done"
    with open_journal(rollout.path) as journal:
        who = [(row.who, row.body["wish"]) for row in journal.history() if row.kind == "wish"]
        assert journal.verify_chain() == ()
        with pytest.raises(JournalError, match="is done, so it cannot stop"):
            journal.wish(rollout.number, "stop", "Grace")
        with pytest.raises(JournalError, match="no rollout 9"):
            journal.wish(9, "stop", "Grace")
    assert who == [("Grace", "pause"), ("Grace", "resume")]


def test_a_stop_holds_with_nothing_but_the_journal(tmp_path: Path) -> None:
    rollout = SimulatedRollout(tmp_path / "fleet.db", dict.fromkeys(names(3), GOOD), POLICY)
    with open_journal(rollout.path) as journal:
        journal.wish(rollout.number, "stop", "Grace", "wrong release")

    for _ in range(2):
        decision = rollout.run()
        assert (decision.kind, decision.reasons) == ("stop", ("wrong release",))
    refused = pytest.raises(JournalError, match="is stopped, so it cannot resume")
    with open_journal(rollout.path) as journal, refused:
        journal.wish(rollout.number, "resume", "Grace")
    assert not any(board.activations for board in rollout.boards.boards.values())


RACER = """
import sys
from pathlib import Path
from toolkit.fleet.journal import open_journal
from toolkit.fleet.journal_file import LeaseError
with open_journal(Path(sys.argv[1])) as journal:
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        journal.take_lease("racer")
        print("won", journal.epoch, flush=True)
    except LeaseError as error:
        print(error, flush=True)
    sys.stdin.read()
"""


def test_of_racing_controllers_one_gets_the_lease(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    with open_journal(path) as journal:
        first = journal.take_lease("Ada")
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for _ in range(4)
    ]

    def read_lines() -> list[str]:
        return [racer.stdout.readline().strip() for racer in racers if racer.stdout]

    assert read_lines() == ["ready"] * 4
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = read_lines()
    (winner,) = [place for place, answer in enumerate(answers) if answer.startswith("won")]
    assert answers[winner] == f"won {first + 1}"
    racers[winner].kill()
    racers[winner].wait()
    with open_journal(path) as journal:  # the dead one holds it no longer
        assert journal.take_lease("Ada") == first + 2
        assert journal.verify_chain() == ()
    for racer in racers:
        racer.communicate("")
    others = [answer for answer in answers if not answer.startswith("won")]
    assert all(answer.startswith("another controller runs already: ") for answer in others)
    assert len(others) == 3


def test_a_controller_that_was_overtaken_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    waves = plan_waves(members_of(names(2)), POLICY, "salt")
    with open_journal(path) as first:
        first.take_lease("Ada")
        rollout = first.begin_rollout(START, waves)
        path.with_name("fleet.db-lease").unlink()  # as in a copy of the project
        with open_journal(path) as second:
            assert second.take_lease("Grace") == 2
            with pytest.raises(LeaseError, match=r"epoch 2, this one had 1"):
                first.write(rollout, 1.0, [JournalNote("status", {"status": "done"})])
            with pytest.raises(LeaseError):
                first.begin_rollout(START, waves)
            assert second.verify_chain() == ()
            assert second.status(rollout) == "running"
    with open_journal(path) as third, pytest.raises(LeaseError):
        third.begin_rollout(START, waves)


def test_an_epoch_is_higher_than_every_one_that_a_board_reports(tmp_path: Path) -> None:
    with open_journal(tmp_path / "fleet.db") as journal:
        assert journal.take_lease("Ada", least_epoch=41) == 42
        assert journal.take_lease("Ada") == 43


def test_what_a_board_says_is_bounded_and_plain(tmp_path: Path) -> None:
    with open_journal(tmp_path / "fleet.db") as journal:
        journal.take_lease("Ad\udc80a")
        rollout = journal.begin_rollout(START, plan_waves([Member("a")], POLICY, "salt"))
        (board,) = journal.boards(rollout)
        board.reason = "\udcff" * 10_000
        hostile = [
            {"reason": "x" * (1 << 20), "state": "pending"},
            {"evidence": {str(number): "y" * 400 for number in range(1000)}, "state": "pending"},
            {"evidence": {"ratio": float("nan"), "raw": b"\x00", "\udc80": {1, 2}}},
            {"reason": "\udc80\x1b[2J"},
        ]
        journal.write(rollout, 1.0, [JournalNote("result", body, board) for body in hostile])
        rows = [row for row in journal.history(target="a")]

        assert journal.verify_chain() == ()
        assert all(len(str(row.body)) <= 2 * MOST_BODY_BYTES for row in rows)
        assert rows[1].body["state"] == "pending"
        assert rows[2].body["evidence"]["ratio"] == "nan"
        assert len(next(journal.states(rollout)).reason) == 500


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET body = x'00' WHERE number = 2",
        "UPDATE entry SET at = 9e999 WHERE number = 2",
        "UPDATE entry SET who = x'ff' WHERE number = 2",
        "UPDATE head SET hash = 1",
    ],
)
def test_a_row_of_another_type_is_damage(finished: SimulatedRollout, statement: str) -> None:
    change(finished.path, statement)
    try:
        assert problems(finished.path)
    except DamagedJournalError as error:
        assert "changed or damaged" in str(error)
        assert error.hint


@pytest.mark.parametrize(
    "body",
    [
        '{"evidence":"x","reasons":5,"state":"confirmed","step":"probe"}',
        '{"evidence":{"after_us":["x"],"gates":[1]},"step":"probe"}',
        '{"evidence":{"gates":[{"name":"health"}]}}',
        "5",
    ],
)
def test_rows_of_another_form_end_in_a_sentence(finished: SimulatedRollout, body: str) -> None:
    change(finished.path, f"UPDATE entry SET body = '{body}' WHERE kind = 'result'")
    (finished.path.parent / "kedge.toml").write_text("[targets.a]\naddress = 'local'\n")
    project = finished.path.parent
    (project / ".kedge").mkdir()
    finished.path.rename(project / ".kedge" / "fleet.db")
    history = kedge("fleet", "history", "1", cwd=project)
    assert history.code == 5
    for command in ("history", "status", "check"):
        more = {"history": ["1"], "status": ["--offline"], "check": []}[command]
        assert "Traceback" not in kedge("fleet", command, *more, cwd=project).err


def test_a_full_disk_is_named_and_nothing_is_lost(finished: SimulatedRollout) -> None:
    with open_journal(finished.path) as journal:
        journal.take_lease("Ada")
        (pages,) = journal.database.execute("PRAGMA page_count").fetchone()
        journal.database.execute(f"PRAGMA max_page_count = {pages}")
        (board, *_) = journal.boards(finished.number)
        note = JournalNote("result", {"reason": "z" * 60_000}, board)
        with pytest.raises(JournalDiskError, match="the disk of .* is full: nothing was added"):
            for _ in range(20):
                journal.write(finished.number, 1.0, [note])
        assert journal.verify_chain() == ()
    with open_journal(finished.path) as journal:
        assert journal.verify_chain() == ()


def test_a_journal_that_may_not_be_written_is_named(finished: SimulatedRollout) -> None:
    with open_journal(finished.path) as journal:
        journal.database.execute("PRAGMA query_only = 1")
        with pytest.raises(JournalError, match="readonly") as refused:
            journal.take_lease("Ada")
        assert refused.value.hint == "Make it writable for you, and its folder as well."


def test_a_program_of_somebody_else_is_refused(finished: SimulatedRollout) -> None:
    change(
        finished.path,
        "CREATE TRIGGER t AFTER INSERT ON entry BEGIN DELETE FROM entry WHERE number = 1; END",
    )

    with pytest.raises(JournalError, match="trigger t, which kedge did not make"):
        problems(finished.path)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, finished: SimulatedRollout) -> None:
    other = tmp_path / "other.db"
    change(other, "CREATE TABLE entry (number INTEGER)")
    with pytest.raises(JournalError, match="no journal of kedge"):
        problems(other)
    other.write_text("hello, this is not a database at all" * 100)
    with pytest.raises(JournalError, match="not a database"):
        problems(other)
    link = tmp_path / "link.db"
    link.symlink_to(finished.path)
    with pytest.raises(JournalError, match="is a link"):
        problems(link)
    new = tmp_path / "new.db"
    new.with_name("new.db-wal").symlink_to(tmp_path / "victim")
    with pytest.raises(JournalError, match="is a link"):
        problems(new)
    change(finished.path, "PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="newer kedge"):
        problems(finished.path)
    with pytest.raises(JournalError, match="Not a directory|cannot keep"):
        problems(other / "fleet.db")


def test_a_start_survives_what_a_newer_kedge_adds() -> None:
    assert RolloutStart(**{**START.__dict__}) == START
