"""What every target of a fleet runs, what it should run, and since when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from converters.errors import ConversionError
from device_agent.contract.codes import IntegrityError
from device_agent.contract.release_state import BoardReleases
from targets.agent_client import AgentError
from targets.board_disk import BoardDiskError
from targets.errors import TargetError
from toolkit.errors import ToolkitError
from toolkit.fleet.connections import BoardConnections
from toolkit.fleet.journal_reader import FINISHED, JournalReader
from toolkit.fleet.journal_records import RolloutLine
from toolkit.fleet.states import CONFIRMED, FAILURES, SKIPPED

#: Boards that are asked at the same time; the host only waits.
AT_ONCE = 20


@dataclass(frozen=True)
class BoardReport:
    """Report of one board, taken just now."""

    name: str
    state: BoardReleases | None = None
    """Releases as the board reports them; `None` where it did not answer."""
    error: str = ""
    """Reason in words why there is no report."""
    hint: str = ""
    """Next step for the operator where there is no report."""
    answered: bool = True
    """Whether the board answered, be it with a refusal."""


@dataclass(frozen=True)
class TargetStatus:
    """One target and one application; or a target without any."""

    name: str
    app: str = ""
    current: str = ""
    """SHA-256 of the manifest that is active; empty for none, or where it is not known."""
    version: str = ""
    wanted: str = ""
    """SHA-256 of the manifest that should be active; empty where no rollout says it."""
    since: float = 0.0
    """Seconds since 1970 of the last switch, by the board's clock; 0 where it is not known."""
    on_trial: bool = False
    is_reachable: bool = True
    """Whether the board answered, be it with a refusal."""
    is_known: bool = True
    """Whether the board reported what it runs."""
    rollout: int = 0
    """Number of the newest rollout that concerns the target; 0 for none."""
    rollout_state: str = ""
    """State of the board in that rollout."""
    last_measurement: Mapping[str, Any] | None = None
    """Last gates that were judged on the board: `at`, `step` and `gates`."""
    reason: str = ""
    """Reason of the last failure or revert, or why the board did not answer."""
    hint: str = ""
    """Next step for the operator where the board did not answer or cannot be read."""

    @property
    def drifts(self) -> bool:
        """Whether another release is active than the one that should be."""
        return bool(self.wanted) and self.is_known and self.current != self.wanted


@dataclass(frozen=True)
class FleetMemory:
    """Knowledge of the journal about the targets."""

    goals: Mapping[tuple[str, str], str]
    """Release that should be active, by target and application."""
    places: Mapping[tuple[str, str], tuple[int, str, str]]
    """Number of the newest rollout, state in it and reason by target and application."""
    measurements: Mapping[tuple[str, str], Mapping[str, Any]]
    """Last measurement by target and application."""


def read_board_states(
    names: Sequence[str], connections: BoardConnections, at_once: int = AT_ONCE
) -> list[BoardReport]:
    """Ask boards what they run.

    Args:
        names: Names of targets.
        connections: Connections to the boards.
        at_once: Number of boards that are asked at the same time.

    Returns:
        Reports in the order of the names.
    """

    def ask(name: str) -> BoardReport:
        try:
            return BoardReport(name, connections.look(name))
        except (AgentError, BoardDiskError, IntegrityError) as error:
            return BoardReport(name, None, str(error), error.hint)
        except (TargetError, ConversionError, ToolkitError) as error:
            return BoardReport(name, None, str(error), error.hint, answered=False)

    with ThreadPoolExecutor(at_once) as workers:
        return list(workers.map(ask, names))


def remember(journal: JournalReader) -> FleetMemory:
    """Read what the journal knows of all targets.

    Raises:
        JournalError: The journal cannot be read.
    """
    goals: dict[tuple[str, str], str] = {}
    places: dict[tuple[str, str], tuple[int, str, str]] = {}
    lines = journal.rollouts()
    for line in lines:
        for board in journal.states(line.number):
            key = (board.target, line.start.app)
            places.setdefault(key, (line.number, board.state, board.reason))
            if key not in goals and _counts(line, board.state):
                goals[key] = line.start.release
    measurements: dict[tuple[str, str], Mapping[str, Any]] = {}
    apps = {line.number: line.start.app for line in lines}
    for row in journal.history():
        if row.kind in ("result", "check") and row.gates:
            step = str(row.body.get("step", row.kind))
            app = str(row.body.get("app") or apps.get(row.rollout, ""))
            measurements[row.target, app] = {**row.evidence, "at": row.at, "step": step}
    return FleetMemory(goals, places, measurements)


def statuses_of(
    reports: Iterable[BoardReport], memory: FleetMemory, app: str | None = None
) -> list[TargetStatus]:
    """Join what boards report with what the journal knows.

    Args:
        reports: Reports of the boards.
        memory: Memory of the journal.
        app: Name of the only application; `None` for all.
    """
    statuses = []
    apps_by_target: dict[str, set[str]] = {}
    for target, name in memory.places:
        apps_by_target.setdefault(target, set()).add(name)
    for report in reports:
        apps = apps_by_target.get(report.name, set()) | set(
            report.state.apps if report.state else ()
        )
        names = sorted(name for name in apps if app in (None, name))
        statuses += [_status(report, name, memory) for name in names or [app or ""]]
    return statuses


def _status(report: BoardReport, app: str, memory: FleetMemory) -> TargetStatus:
    key = (report.name, app)
    number, state, reason = memory.places.get(key, (0, "", ""))
    own = report.state.apps.get(app) if report.state else None
    return TargetStatus(
        name=report.name,
        app=app,
        current=own.current if own else "",
        version=own.version if own else "",
        wanted=memory.goals.get(key, ""),
        since=own.since if own else 0.0,
        on_trial=own is not None and own.trial is not None,
        is_reachable=report.answered,
        is_known=report.state is not None,
        rollout=number,
        rollout_state=state,
        last_measurement=memory.measurements.get(key),
        reason=report.error or (own.last_reason if own else "") or reason,
        hint=report.hint,
    )


def _counts(line: RolloutLine, state: str) -> bool:
    """Return whether a rollout says what a board should run."""
    if state == CONFIRMED:
        return True
    return (
        line.status != "stopped"
        and state not in FAILURES | {SKIPPED}
        and (line.status != FINISHED or state == "unreachable")
    )
