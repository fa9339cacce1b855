"""Exit codes of rollouts."""

from collections.abc import Sequence

import pytest

from targets.inventory import Target
from tests.toolkit.fleet.fleets import START
from toolkit.fleet.journal_reader import FINISHED, PAUSED, STOPPED
from toolkit.fleet.journal_records import BoardLine, RolloutLine
from toolkit.fleet.survey import BoardSurvey
from toolkit.fleet.verdict import exit_code_of_refusals, exit_code_of_rollout
from toolkit.fleet.waves import Member


def board(state: str, fingerprint: str = "") -> BoardLine:
    return BoardLine("a", 1, state, 0.0, fingerprint=fingerprint)


@pytest.mark.parametrize(
    ("status", "states", "code"),
    [
        (FINISHED, ["confirmed", "confirmed"], 0),
        (FINISHED, ["skipped"], 8),
        (FINISHED, ["confirmed", "skipped"], 8),
        (FINISHED, ["confirmed", "unreachable"], 6),
        (FINISHED, ["unreachable", "failed"], 8),
        (FINISHED, ["confirmed", "reverted"], 8),
        (PAUSED, ["confirmed", "staged"], 9),
        (STOPPED, ["confirmed", "staged"], 8),
        (STOPPED, ["staged"], 8),
    ],
)
def test_only_a_release_on_every_board_is_a_success(
    status: str, states: Sequence[str], code: int
) -> None:
    line = RolloutLine(1, START, 0.0, status, (), 0.0, {})

    assert exit_code_of_rollout(line, [board(state) for state in states]) == code


def test_damage_counts_first() -> None:
    line = RolloutLine(1, START, 0.0, PAUSED, (), 0.0, {})

    assert exit_code_of_rollout(line, [board("failed", "stage: integrity")]) == 5


def survey(*refusals: str, is_reachable: bool = True, is_damaged: bool = False) -> BoardSurvey:
    target = Target("a", "local")
    return BoardSurvey(
        target,
        Member("a"),
        refusals=refusals,
        is_reachable=is_reachable,
        cause="integrity" if is_damaged else "",
    )


@pytest.mark.parametrize(
    ("surveys", "code"),
    [
        ([survey()], 0),
        ([survey(), survey("no key")], 0),
        ([survey("no key"), survey("no answer", is_reachable=False)], 8),
        ([survey("no answer", is_reachable=False)], 6),
        ([survey("no key"), survey("changed", is_damaged=True)], 5),
    ],
)
def test_a_rollout_begins_where_a_board_takes_part(
    surveys: Sequence[BoardSurvey], code: int
) -> None:
    assert exit_code_of_refusals(surveys) == code
