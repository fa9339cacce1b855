"""The status of a fleet: what boards report, joined with what the journal knows."""

from collections.abc import Iterator

from toolkit.fleet.status import BoardReport, FleetMemory, statuses_of

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
    wanted = dict.fromkeys(places, RELEASE)
    places.passes = 0
    statuses = statuses_of([BoardReport(name) for name in names], FleetMemory(wanted, places, {}))

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
