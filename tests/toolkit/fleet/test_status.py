"""The status of a fleet: what boards report, joined with what the journal knows."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.toolkit.fleet.fleets import START
from toolkit.fleet.board import FleetBoard
from toolkit.fleet.journal import open_journal
from toolkit.fleet.journal_records import JournalNote
from toolkit.fleet.policy import Policy
from toolkit.fleet.status import BoardReport, FleetMemory, remember, statuses_of
from toolkit.fleet.waves import Member, plan_waves

RELEASE = "a" * 64


class CountedPlaces(dict[tuple[str, str], tuple[int, str, str]]):
    """Places of the journal that count how often somebody goes through all of them."""

    passes = 0

    def __iter__(self) -> Iterator[tuple[str, str]]:
        self.passes += 1
        return super().__iter__()


def test_a_status_goes_through_the_journal_once_for_all_boards() -> None:
    names = [f"b{number}" for number in range(50)]
    places = CountedPlaces({(name, "door"): (1, "confirmed", "") for name in names})
    goals = dict.fromkeys(places, RELEASE)
    places.passes = 0
    statuses = statuses_of([BoardReport(name) for name in names], FleetMemory(goals, places, {}))

    assert places.passes == 1
    assert [status.name for status in statuses] == names
    assert {status.app for status in statuses} == {"door"}


def test_a_board_whose_releases_are_not_known_does_not_drift() -> None:
    memory = FleetMemory({("b", "door"): RELEASE}, {("b", "door"): (1, "confirmed", "")}, {})
    (refusing,) = statuses_of([BoardReport("b", None, "current is no link")], memory)
    (silent,) = statuses_of([BoardReport("b", None, "no route", answered=False)], memory)

    assert (refusing.is_reachable, refusing.is_known, refusing.drifts) == (True, False, False)
    assert (silent.is_reachable, silent.is_known, silent.drifts) == (False, False, False)
    assert refusing.reason == "current is no link"


def test_each_application_of_a_target_has_its_own_measurement(tmp_path: Path) -> None:
    gates = {"gates": [{"name": "health", "verdict": "pass", "figure": "exit code 0"}]}
    waves = plan_waves([Member("ant")], Policy(), "salt")
    with open_journal(tmp_path / "fleet.db") as journal:
        journal.take_lease("Ada")
        cats = journal.begin_rollout(replace(START, app="cats"), waves)
        journal.begin_rollout(replace(START, app="dogs"), waves)
        board = FleetBoard(Member("ant"), 1)
        journal.write(
            cats, 5.0, [JournalNote("result", {"step": "probe", "evidence": gates}, board)]
        )
        journal.note("check", {"app": "dogs", "evidence": gates}, "ant")
        memory = remember(journal)
    statuses = statuses_of([BoardReport("ant")], memory)
    rows = {status.app: status.last_measurement for status in statuses}

    assert rows["cats"] is not None
    assert rows["cats"]["at"] == 5.0
    assert rows["dogs"] is not None
    assert rows["dogs"]["step"] == "check"
