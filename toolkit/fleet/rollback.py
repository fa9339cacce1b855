"""What a rollback goes back to, and by which policy. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from device_agent.contract.order import ROLLBACK
from toolkit.errors import ToolkitError
from toolkit.fleet.journal_reader import FINISHED
from toolkit.fleet.journal_records import RolloutLine
from toolkit.fleet.policy import MOST_BOARDS, Allowance, Policy, WaveSize
from toolkit.fleet.states import CONFIRMED


def rollback_policy(
    policy: Policy | None,
    accept_no_reboot_revert: bool,
    force: bool,
    newest: RolloutLine | None,
) -> Policy:
    """Return the policy of a rollback: all boards in one wave, health alone, no early end.

    Args:
        policy: Policy that the operator names; `None` for the usual one of rollbacks.
        accept_no_reboot_revert: Whether boards take part on which nothing reverts after a reboot.
        force: Whether refusals of runtimes by their release are overridden.
        newest: Newest rollout of the application, which boards leave by the rollback: the boards
            that it accepted are accepted again, and what it overrode is overridden. `None` where
            the journal has none.
    """
    if newest is not None and newest.start.policy.get("accept_no_reboot_revert"):
        accept_no_reboot_revert = True
    if newest is not None and newest.start.policy.get("override_runtime"):
        force = True
    if policy is None:
        everybody = Allowance(count=MOST_BOARDS, rate=1.0)
        policy = Policy(
            waves=(WaveSize(fraction=1.0),),
            failure_budget=everybody,
            unreachable=everybody,
            unreachable_deadline_s=60.0,
            same_fingerprint=MOST_BOARDS,
            gates={"health": 1.0},
        )
    return replace(
        policy,
        accept_no_reboot_revert=policy.accept_no_reboot_revert or accept_no_reboot_revert,
        override_runtime=policy.override_runtime or force,
    )


def newest_rollout(lines: Sequence[RolloutLine], app: str | None) -> RolloutLine | None:
    """Return the newest rollout of an application; `None` where there is none.

    Args:
        lines: Rollouts of the journal, the newest first.
        app: Name of the application; `None` for any.
    """
    return next((line for line in lines if app is None or line.start.app == app), None)


def selection_of(newest: RolloutLine | None) -> str:
    """Return the targets of a rollout as its operator named them.

    Raises:
        ToolkitError: The journal has no rollout, or it was rebuilt from the boards; the operator
            names the targets.
    """
    selection = newest.start.facts.get("selection") if newest is not None else None
    if not selection:
        raise ToolkitError(
            "the journal does not know to which targets the release went",
            "Name the targets: --to SELECTOR.",
        )
    return str(selection)


def release_before(
    lines: Sequence[RolloutLine], app: str | None, prefix: str | None
) -> tuple[RolloutLine, str]:
    """Choose the release of a rollback.

    Without a prefix only a release counts whose rollout is done: one that was stopped was bad, or
    is not known to be good. A rollback that was stopped is passed over, and one that is done leads
    to what was before the release to which it went back.

    Args:
        lines: Rollouts of the journal, the newest first.
        app: Name of the application; `None` for that of the newest rollout.
        prefix: Begin of the digest of the release; `None` for the one before the newest.

    Returns:
        Rollout that the boards leave, and the digest of the release to go back to.

    Raises:
        ToolkitError: There is none, or several fit.
    """
    own = [line for line in lines if app is None or line.start.app == app]
    own = [line for line in own if line.start.app == own[0].start.app]
    if not own:
        whose = f" of {app}" if app is not None else ""
        raise ToolkitError(
            f"the journal has no rollout{whose}",
            "See which there are: kedge fleet history. kedge fleet rollout begins one.",
        )
    if prefix is None:
        return _release_before_newest(own)
    digests = list(dict.fromkeys(line.start.release for line in own))
    fitting = [digest for digest in digests if digest.startswith(prefix)]
    if len(fitting) != 1:
        names = ", ".join(digest[:12] for digest in digests)
        raise ToolkitError(
            f"{prefix!r} is not the begin of one release of {own[0].start.app}; there are: {names}",
            "kedge fleet history shows them. For another release name its bundle: --bundle FILE.",
        )
    return own[0], fitting[0]


def _release_before_newest(own: Sequence[RolloutLine]) -> tuple[RolloutLine, str]:
    while own[1:] and own[0].start.kind == ROLLBACK and not _is_proven(own[0]):
        own = own[1:]
    newest, release = own[0], own[0].start.release
    earlier = own[1:]
    if newest.start.kind == ROLLBACK:
        begins = [at for at, line in enumerate(own) if line.start.release == release]
        earlier = own[begins[-1] + 1 :]
    for line in earlier:
        if line.start.release != release and _is_proven(line):
            return newest, line.start.release
    hint = "Name the bundle of the release to go back to: --bundle FILE."
    if any(line.start.release != release for line in own):
        hint = (
            "Name the release: kedge fleet rollback --release DIGEST (kedge fleet history shows "
            "them), or --bundle FILE."
        )
    raise ToolkitError(
        f"the journal knows no release of {newest.start.app} before {release[:12]} whose rollout "
        "is done",
        hint,
    )


def _is_proven(line: RolloutLine) -> bool:
    return line.status == FINISHED and line.boards.get(CONFIRMED, 0) > 0
