"""What a rollback goes back to."""

from dataclasses import replace

import pytest

from tests.toolkit.fleet.fleets import START
from toolkit.errors import ToolkitError
from toolkit.fleet.journal_records import RolloutLine
from toolkit.fleet.rollback import release_before, rollback_policy, selection_of


def line(
    number: int, release: str, status: str = "done", kind: str = "release", confirmed: int = 5
) -> RolloutLine:
    start = replace(START, release=release, kind=kind)
    return RolloutLine(number, start, 0.0, status, (), 0.0, {"confirmed": confirmed})


@pytest.mark.parametrize(
    ("lines", "number", "release"),
    [
        ([line(2, "new"), line(1, "old")], 2, "old"),
        ([line(3, "new"), line(2, "bad", "stopped", confirmed=0), line(1, "old")], 3, "old"),
        ([line(3, "new"), line(2, "bad", "stopped", confirmed=2), line(1, "old")], 3, "old"),
        ([line(3, "new"), line(2, "bad", confirmed=0), line(1, "old")], 3, "old"),
        ([line(3, "bad", "stopped", confirmed=2), line(2, "new"), line(1, "old")], 3, "new"),
        ([line(4, "b", kind="rollback"), line(3, "c"), line(2, "b"), line(1, "a")], 4, "a"),
        (
            [line(4, "b", "stopped", "rollback", 1), line(3, "c"), line(2, "b"), line(1, "a")],
            3,
            "b",
        ),
    ],
)
def test_a_rollback_goes_to_the_last_release_whose_rollout_is_done(
    lines: list[RolloutLine], number: int, release: str
) -> None:
    newest, digest = release_before(lines, None, None)

    assert (newest.number, digest) == (number, release)


def test_without_a_good_release_the_operator_names_one() -> None:
    lines = [line(2, "new"), line(1, "bad", "stopped", confirmed=2)]

    with pytest.raises(ToolkitError, match="no release of detector before new") as caught:
        release_before(lines, None, None)

    assert "--release DIGEST" in caught.value.hint
    assert release_before(lines, None, "ba")[1] == "bad"


def test_a_rebuilt_journal_points_to_the_bundle_of_the_older_release() -> None:
    with pytest.raises(ToolkitError, match="no release of detector before new") as caught:
        release_before([line(1, "new", kind="rebuild")], None, None)

    assert "--bundle FILE" in caught.value.hint
    assert "history" not in caught.value.hint


def test_without_rollouts_the_operator_names_the_targets() -> None:
    with pytest.raises(ToolkitError, match="does not know to which targets"):
        selection_of(None)
    with pytest.raises(ToolkitError, match="no rollout"):
        release_before([], None, None)


def test_a_rollback_overrides_what_the_newest_rollout_or_the_operator_overrides() -> None:
    forced = replace(line(2, "new"), start=replace(START, policy={"override_runtime": True}))
    cases = [(forced, False), (line(2, "new"), True), (line(2, "new"), False), (None, False)]
    policies = [rollback_policy(None, False, force, newest) for newest, force in cases]
    assert [policy.override_runtime for policy in policies] == [True, True, False, False]
