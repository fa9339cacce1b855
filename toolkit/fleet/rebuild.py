"""A journal that is made again from what the boards report, where the journal was lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from device_agent.contract.release_state import AppState, BoardReleases
from toolkit.fleet.journal import Journal
from toolkit.fleet.journal_file import JournalError
from toolkit.fleet.journal_reader import FINISHED
from toolkit.fleet.journal_records import JournalNote, RolloutStart
from toolkit.fleet.states import CONFIRMED
from toolkit.fleet.waves import Member, Wave

#: Kind of the rollouts in a journal that was rebuilt: nobody knows who began them.
REBUILD = "rebuild"


def rebuild_journal(
    journal: Journal, reports: Mapping[str, BoardReleases], who: str, at: float
) -> tuple[int, ...]:
    """Write what boards run into an empty journal, as rollouts of the kind `rebuild`.

    There is one rollout for each release. Who rolled it out, and on what evidence, is lost. A board
    on trial counts with the release to which it reverts: nobody is left who could confirm it.

    Args:
        journal: Journal without a rollout.
        reports: Reports of the boards by name of the target.
        who: Person and program.
        at: Seconds since 1970.

    Returns:
        Numbers of the rollouts.

    Raises:
        JournalError: The journal has rollouts, another controller runs, or it cannot be written.
    """
    lines = journal.rollouts()
    if lines:
        raise JournalError(
            f"the journal {journal.path} has {len(lines)} rollouts, so it is not lost",
            "Move it away first; only an empty one is rebuilt.",
        )
    journal.take_lease(who, max((report.epoch for report in reports.values()), default=0))
    releases: dict[tuple[str, str], dict[str, AppState]] = defaultdict(dict)
    for target, report in sorted(reports.items()):
        for app, state in report.apps.items():
            release = state.current if state.trial is None else state.trial.previous
            if release:
                releases[app, release][target] = state
    return tuple(
        _write_release(journal, app, release, states, who, at)
        for (app, release), states in sorted(releases.items())
    )


def _write_release(
    journal: Journal, app: str, release: str, states: Mapping[str, AppState], who: str, at: float
) -> int:
    newest = max(states.values(), key=lambda state: state.order_counter)
    start = RolloutStart(
        app=app,
        release=release,
        order=newest.order,
        kind=REBUILD,
        operator=who,
        salt="",
        policy={},
        facts={"order_counter": newest.order_counter, "version": newest.version},
    )
    members = tuple(Member(target, variant=state.variant) for target, state in states.items())
    rollout = journal.begin_rollout(start, [Wave(1, members, 1, 1, 0.0)], at)
    notes = []
    for board in journal.boards(rollout):
        state = states[board.name]
        board = replace(board, state=CONFIRMED, since=state.since or at)
        body = {
            "state": CONFIRMED,
            "order": state.order,
            "order_counter": state.order_counter,
            "release_counter": state.release_counter,
            "since": state.since,
            "on_trial": state.trial.release if state.trial else "",
        }
        notes.append(JournalNote(REBUILD, body, board))
    notes.append(
        JournalNote("status", {"status": FINISHED, "reasons": ["rebuilt from the boards"]})
    )
    journal.write(rollout, at, notes)
    return rollout
