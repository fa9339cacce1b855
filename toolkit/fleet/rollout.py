"""Rollouts on real boards: planned, begun, gone on with, and undone."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from device_agent.contract.manifest import RELEASE_NAMESPACE
from device_agent.contract.order import ORDER_NAMESPACE, RELEASE
from targets.device import own_name
from toolkit.bundle.bundle_file import Bundle
from toolkit.bundle.order_file import SignedOrder, new_order, read_signed_order, sign_order
from toolkit.bundle.release_signers import UntrustedError
from toolkit.errors import ToolkitError
from toolkit.fleet.board_steps import RolloutWork
from toolkit.fleet.connections import BoardConnections
from toolkit.fleet.decide import Decision
from toolkit.fleet.device_actions import DeviceActions
from toolkit.fleet.engine import Watch, drive_rollout
from toolkit.fleet.journal import Journal
from toolkit.fleet.journal_reader import FINISHED, STOPPED
from toolkit.fleet.journal_records import RolloutLine, RolloutStart
from toolkit.fleet.policy import Policy
from toolkit.fleet.policy_file import parse_policy, plain_policy
from toolkit.fleet.project import FleetProject
from toolkit.fleet.survey import BoardSurvey, SurveyRequest, survey_boards
from toolkit.fleet.trusted_keys import SignatureJudge
from toolkit.fleet.waves import Wave, plan_waves, wave_of

#: Seconds in which boards may begin to activate; a rollout that pauses for longer is begun anew.
ORDER_VALID_S = 14 * 86400.0


@dataclass(frozen=True)
class RolloutPlan:
    """A rollout before it begins."""

    bundle: Bundle
    policy: Policy
    kind: str
    """`release` or `rollback` of `device_agent.contract.order`."""
    selection: str
    """Targets as the operator named them; boards that match later join the rollout."""
    surveys: tuple[BoardSurvey, ...]
    waves: tuple[Wave, ...]
    salt: str
    fleet: str
    """Name of the fleet that the boards report; empty where none is enrolled."""
    counter: int
    """Counter of the order."""


@dataclass(frozen=True)
class RolloutRun:
    """Watcher and settings of a running controller, beside the journal."""

    watch: Watch
    """Called with each event."""
    is_interrupted: Callable[[], bool] = lambda: False
    """Whether a person wants the controller to pause and end."""
    wheelhouse: Path | None = None
    """Folder of wheels, where there is no network."""


def plan_rollout(
    fleet: FleetProject,
    bundle: Bundle,
    selection: str,
    policy: Policy,
    connections: BoardConnections,
    on_board: Callable[[BoardSurvey], None],
    kind: str = RELEASE,
) -> RolloutPlan:
    """Look at the boards and divide them into waves; nothing is changed on them.

    Args:
        fleet: Project.
        bundle: Release.
        selection: Targets: NAME, A,B or LABEL=VALUE.
        policy: Policy.
        connections: Connections to the boards.
        on_board: Called from several threads with each board that was looked at.
        kind: `release` or `rollback`.

    Raises:
        ToolkitError: The boards belong to several fleets, or the bundle cannot be kept.
        IntegrityError: The bundle is damaged.
    """
    bundle = fleet.releases.keep(bundle)
    request = _survey_request(fleet, bundle, policy, kind)
    surveys = survey_boards(fleet.inventory.select(selection), request, connections, on_board)
    name = _fleet_of(surveys)
    salt = secrets.token_hex(8)
    with fleet.journal() as journal:
        counter = _next_counter(surveys, journal.rollouts(), bundle.manifest.app)
    sound = [survey.member for survey in surveys if not survey.refusals]
    doubtful = [survey.member for survey in surveys if survey.refusals]
    waves = plan_waves(sound, policy, salt, doubtful)
    return RolloutPlan(bundle, policy, kind, selection, tuple(surveys), waves, salt, name, counter)


def begin_rollout(journal: Journal, plan: RolloutPlan, keys: tuple[Path, ...]) -> int:
    """Sign the order of a rollout and write its begin; return its number.

    Args:
        journal: Journal whose lease this process holds.
        plan: Plan of the rollout.
        keys: Keys that sign the order.

    Raises:
        ToolkitError: No board is enrolled, or another rollout of the application is not over.
        SigningError: A key cannot sign.
        UntrustedError: Every board would refuse the order; more signers must sign it.
    """
    app = plan.bundle.manifest.app
    require_no_other(journal, app)
    if not plan.fleet:
        raise ToolkitError(
            "none of the boards trusts anybody who signs releases",
            "Enrol the signers first: kedge target trust NAME… --signers FILE",
        )
    least = max((survey.state.epoch for survey in plan.surveys if survey.state), default=0)
    journal.take_lease(own_name(), least)
    order = new_order(
        app,
        plan.fleet,
        plan.bundle.digest,
        plan.counter,
        own_name(),
        ORDER_VALID_S,
        plan.kind,
    )
    signed = sign_order(order, keys)
    _require_signatures(signed, plan.surveys)
    start = RolloutStart(
        app=app,
        release=plan.bundle.digest,
        order=signed.digest,
        kind=plan.kind,
        operator=own_name(),
        salt=plan.salt,
        policy=plain_policy(plan.policy),
        facts={
            "version": plan.bundle.manifest.version,
            "selection": plan.selection,
            "order": signed.text.decode(),
            "signatures": [signature.decode() for signature in signed.signatures],
            "order_counter": plan.counter,
        },
    )
    return journal.begin_rollout(start, plan.waves)


def require_no_other(journal: Journal, app: str) -> None:
    """Refuse a second rollout of an application.

    Raises:
        ToolkitError: An earlier one is not over.
    """
    for line in journal.rollouts():
        if line.start.app == app and line.status not in (FINISHED, STOPPED):
            raise ToolkitError(
                f"rollout {line.number} of {app} is not over: it is {line.status}",
                f"Go on with it (kedge fleet resume), or end it (kedge fleet stop {line.number}).",
            )


def run_rollout(
    fleet: FleetProject,
    journal: Journal,
    number: int,
    connections: BoardConnections,
    run: RolloutRun,
) -> Decision:
    """Go on with a rollout until it is done, paused or stopped.

    Args:
        fleet: Project.
        journal: Journal whose lease this process holds.
        number: Number of the rollout.
        connections: Connections to the boards.
        run: Watcher and settings.

    Raises:
        JournalError: The journal cannot be written, or another controller took over.
        ToolkitError: The release or the policy of the rollout is not here any more.
        IntegrityError: The order in the journal is damaged.
    """
    line = journal.rollout(number)
    work = _work_of(fleet, journal, line, run.wheelhouse)
    is_noted = False

    def note_interrupt() -> None:
        nonlocal is_noted
        if run.is_interrupted() and not is_noted:
            journal.wish(number, "pause", own_name(), "the operator pressed Ctrl-C")
            is_noted = True

    actions = DeviceActions(work, fleet.targets, connections, note_interrupt)
    try:
        return drive_rollout(journal, number, work.policy, actions, time.time, run.watch)
    finally:
        actions.close()


def join_late_boards(
    fleet: FleetProject, journal: Journal, number: int, connections: BoardConnections
) -> list[str]:
    """Add the targets that match the selection of a rollout by now; return their names.

    Args:
        fleet: Project.
        journal: Journal whose lease this process holds.
        number: Number of the rollout.
        connections: Connections to the boards.
    """
    line = journal.rollout(number)
    selection = str(line.start.facts.get("selection", ""))
    if "=" not in selection:
        return []
    waves = {board.name: board.wave for board in journal.boards(number)}
    late = [target for target in fleet.inventory.select(selection) if target.name not in waves]
    if not late:
        return []
    policy = parse_policy(line.start.policy, "the journal")
    bundle = fleet.releases.require(line.start.release)
    request = _survey_request(fleet, bundle, policy)
    surveys = survey_boards(late, request, connections, lambda _: None)
    counts = Counter(waves.values())
    sizes = [counts[wave] for wave in range(1, max(counts) + 1)]
    for survey in surveys:
        wave = wave_of(survey.member.name, line.start.salt, sizes)
        journal.join_wave(number, wave, [survey.member], time.time())
    return [survey.member.name for survey in surveys]


def order_of(line: RolloutLine) -> SignedOrder:
    """Return the order of a rollout as the journal keeps it.

    Raises:
        IntegrityError: It was changed.
    """
    facts = line.start.facts
    signatures = tuple(str(text).encode() for text in facts.get("signatures", ()))
    return read_signed_order(str(facts.get("order", "")).encode(), signatures)


def _survey_request(
    fleet: FleetProject, bundle: Bundle, policy: Policy, kind: str = RELEASE
) -> SurveyRequest:
    text, signatures = bundle.manifest_text, bundle.signatures
    judge = SignatureJudge("the release", text, signatures, RELEASE_NAMESPACE)
    return SurveyRequest(bundle, policy, fleet.releases, fleet.deltas, judge, kind)


def _require_signatures(signed: SignedOrder, surveys: Sequence[BoardSurvey]) -> None:
    """Refuse an order that no board would accept; boards that may not be judged are passed over."""
    judge = SignatureJudge("the order", signed.text, signed.signatures, ORDER_NAMESPACE)
    refusals = [judge.refusal(survey.root) for survey in surveys if survey.root is not None]
    if refusals and all(refusals):
        hint = "Name the keys of more signers: --sign KEY, which may be repeated."
        raise UntrustedError(f"nothing began: {refusals[0]}", hint)


def _work_of(
    fleet: FleetProject, journal: Journal, line: RolloutLine, wheelhouse: Path | None
) -> RolloutWork:
    kept_releases = {
        each.start.release for each in journal.rollouts() if each.status not in (FINISHED, STOPPED)
    }
    return RolloutWork(
        bundle=fleet.releases.require(line.start.release),
        order=order_of(line),
        policy=parse_policy(line.start.policy, "the journal"),
        epoch=journal.epoch,
        store=fleet.releases,
        deltas=fleet.deltas,
        wheelhouse=wheelhouse,
        kept_releases=frozenset({line.start.release, *kept_releases}),
    )


def _fleet_of(surveys: Sequence[BoardSurvey]) -> str:
    names = sorted({survey.state.fleet for survey in surveys if survey.state} - {""})
    if len(names) > 1:
        raise ToolkitError(
            f"the boards belong to several fleets: {', '.join(names)}",
            "Name the targets of one of them; an order is for one fleet.",
        )
    return names[0] if names else ""


def _next_counter(surveys: Sequence[BoardSurvey], lines: Sequence[RolloutLine], app: str) -> int:
    counters = [
        survey.state.apps[app].order_counter
        for survey in surveys
        if survey.state is not None and app in survey.state.apps
    ]
    counters += [
        int(line.start.facts.get("order_counter", 0)) for line in lines if line.start.app == app
    ]
    return max(counters, default=0) + 1
