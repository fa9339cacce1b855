"""Looks at the boards of a rollout before it begins: what fits, what would be refused, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

from converters.errors import ConversionError
from device_agent.contract.codes import IntegrityError
from device_agent.contract.order import RELEASE
from device_agent.contract.release_state import AppState, BoardReleases
from device_agent.contract.trust_root import TrustRoot
from targets.board_disk import BoardDiskError
from targets.device import Device
from targets.errors import TargetError
from targets.inventory import Target
from targets.transport import DeadlineError, UnreachableError
from toolkit.bundle.bundle_file import Bundle
from toolkit.bundle.delta_cache import DeltaCache
from toolkit.errors import ToolkitError
from toolkit.fleet.admittance import choose_for, enrolment_refusals
from toolkit.fleet.connections import BoardConnections
from toolkit.fleet.outcomes import INTEGRITY, BoardError, cause_of
from toolkit.fleet.policy import Policy
from toolkit.fleet.release_archive import ReleaseArchive
from toolkit.fleet.transfer import ReleaseFiles, base_model
from toolkit.fleet.trusted_keys import SignatureJudge
from toolkit.fleet.waves import Member
from toolkit.fleet.windows import windows_of


@dataclass(frozen=True)
class BoardSurvey:
    """One board before a rollout."""

    target: Target
    member: Member
    state: BoardReleases | None = None
    """Releases as the board reports them; `None` where it did not answer."""
    refusals: tuple[str, ...] = ()
    """Reasons why it would be left out, or fail."""
    hint: str = ""
    """Next step for the operator where an error of the board is among the refusals."""
    cause: str = ""
    """Cause of that error, such as `no_space`."""
    is_reachable: bool = True
    full_bytes: int = 0
    """Size of the files that it lacks."""
    sent_bytes: int = 0
    """Number of bytes in which they would be sent."""
    overridden: tuple[str, ...] = ()
    """Refusals of the board's runtime that the policy overrides."""
    notes: tuple[str, ...] = ()
    """Sentences for people, such as that a delta gains nothing."""
    root: TrustRoot | None = None
    """Trust root of the board; `None` for none, or where it did not answer."""

    @property
    def is_damaged(self) -> bool:
        """Whether something on the board differs from its digest."""
        return self.cause == INTEGRITY


@dataclass(frozen=True)
class SurveyRequest:
    """Release and policy for which boards are looked at."""

    bundle: Bundle
    policy: Policy
    store: ReleaseArchive
    deltas: DeltaCache
    signatures: SignatureJudge
    """Judge of the signatures of the release."""
    kind: str = RELEASE
    """`release` or `rollback` of `device_agent.contract.order`."""


def survey_boards(
    targets: Sequence[Target],
    request: SurveyRequest,
    connections: BoardConnections,
    on_board: Callable[[BoardSurvey], None],
) -> list[BoardSurvey]:
    """Look at boards at once; nothing is changed on them.

    Args:
        targets: Boards.
        request: Release and policy.
        connections: Connections to them.
        on_board: Called from several threads with each board when it is done.

    Returns:
        Boards in the order of `targets`.
    """

    def visit(target: Target) -> BoardSurvey:
        survey = _survey(target, request, connections)
        on_board(survey)
        return survey

    with ThreadPoolExecutor(request.policy.concurrency.total) as workers:
        return list(workers.map(visit, targets))


def member_of(target: Target, policy: Policy) -> Member:
    """Return a board of a rollout, as far as kedge.toml describes it."""
    return Member(
        name=target.name,
        board=target.board or "",
        site=target.labels.get(policy.site_label, ""),
        jump=(target.jump or "").split(",")[0],
        windows=windows_of(policy.windows, target.labels),
    )


def _survey(target: Target, request: SurveyRequest, connections: BoardConnections) -> BoardSurvey:
    survey = BoardSurvey(target, member_of(target, request.policy))
    try:
        with connections.open(target.name, keep=True) as device:
            state = device.releases.state()
            survey = replace(survey, state=state)
            refusals = enrolment_refusals(state, "", request.policy)
            root = device.releases.trust_root() if state.root_version else None
            lack = request.signatures.refusal(root) if root is not None else ""
            survey = replace(survey, root=root, refusals=(*refusals, *filter(None, [lack])))
            return _survey_release(survey, device, state, request)
    except (UnreachableError, DeadlineError) as error:
        return _with_error(replace(survey, is_reachable=False), error)
    except (TargetError, IntegrityError, ConversionError, ToolkitError) as error:
        return _with_error(survey, error)


def _with_error(survey: BoardSurvey, error: BoardError) -> BoardSurvey:
    return replace(
        survey,
        refusals=(*survey.refusals, str(error)),
        hint=error.hint,
        cause=cause_of(error),
    )


def _survey_release(
    survey: BoardSurvey, device: Device, state: BoardReleases, request: SurveyRequest
) -> BoardSurvey:
    bundle = request.bundle
    choice = choose_for(bundle.manifest, device, request.policy)
    kind = survey.member.board or device.facts.model or device.facts.machine
    if choice.variant is None:
        member = replace(survey.member, board=kind)
        return replace(survey, member=member, refusals=(*survey.refusals, choice.reason))
    runtime = device.runtime_for(choice.variant.format)
    member = replace(
        survey.member,
        board=kind,
        runtime=f"{runtime.distribution} {runtime.version}",
        variant=choice.variant.name,
    )
    survey = replace(survey, member=member, overridden=choice.overridden)
    app = state.apps.get(bundle.manifest.app)
    if app is not None and bundle.manifest.counter < app.security_floor:
        reason = f"release {bundle.manifest.counter} lies below its security floor"
        survey = replace(survey, refusals=(*survey.refusals, f"{reason} {app.security_floor}"))
    elif app is not None and _goes_back(bundle, app, request.kind):
        reason = (
            f"it has confirmed release {app.release_counter}, this one is "
            f"{bundle.manifest.counter}; kedge fleet rollback goes back"
        )
        survey = replace(survey, refusals=(*survey.refusals, reason))
    if app is not None and app.trial is None and app.current == bundle.digest:
        return survey  # nothing is sent, and no room is needed
    files = ReleaseFiles(request.store, request.deltas, bundle, choice.variant)
    base = base_model(request.store, app.current, app.variant) if app is not None else None
    try:
        digests = device.releases.missing(files.sizes)
    except BoardDiskError as error:
        return _with_error(survey, error)
    sending = files.plan(digests, base)
    return replace(
        survey,
        full_bytes=sending.full_bytes,
        sent_bytes=sending.sent_bytes,
        notes=(*_hook_notes(survey.target, bundle), *sending.notes),
    )


def _hook_notes(target: Target, bundle: Bundle) -> list[str]:
    hooks = bundle.manifest.hooks
    names = [name for name, command in asdict(hooks).items() if command]
    if target.hooks or not names:
        return []
    return [
        f"The release has commands ({', '.join(names)}) that do not run without `hooks = true`, "
        "and no gate judges them: kedge target set NAME hooks=true allows them."
    ]


def _goes_back(bundle: Bundle, app: AppState, kind: str) -> bool:
    """Return whether a board would refuse a release as older than what it has confirmed."""
    is_active = app.trial is None and app.current == bundle.digest
    return kind == RELEASE and bundle.manifest.counter < app.release_counter and not is_active
