"""What a controller has a board do with a staged release: activate, confirm, revert.

Each is idempotent: a controller that lost the answer asks again, and nothing happens twice.
"""

from __future__ import annotations

import os
from typing import List, Optional

from device_agent.board import boot
from device_agent.contract.codes import DIGEST_MISMATCH, ON_TRIAL, RefusalError
from device_agent.contract.manifest import RELEASE_NAMESPACE
from device_agent.contract.order import ORDER_NAMESPACE, RolloutOrder, order_digest, parse_order
from device_agent.contract.records import RecordError
from device_agent.releases.admission import require_order, require_release, require_time
from device_agent.releases.app_folder import ReleaseTrial
from device_agent.releases.release_store import ReleaseStore
from device_agent.releases.trials import ReleaseTrials
from device_agent.signatures import require_signatures
from device_agent.store.checked_file import DamagedFileError

#: Most characters of a reason that the board writes down.
MOST_REASON = 500


def activate_release(
    store: ReleaseStore,
    trials: ReleaseTrials,
    text: bytes,
    signatures: List[str],
    epoch: int,
    trial_s: float,
    hooks: bool,
) -> str:
    """Activate the release of an order on trial; return the name of its application.

    Args:
        store: Releases of the board, locked and settled.
        trials: ReleaseTrials of the same store.
        text: Order.
        signatures: SSH signatures of the order.
        epoch: Epoch of the controller.
        trial_s: Seconds after which the board reverts unless the release is confirmed.
        hooks: Whether the commands of the application may be run.

    Raises:
        RefusalError: The order or the release is not acceptable, another trial is not decided, or
            the command of the application failed.
        OSError: The disk refuses writing.
    """
    root = store.roots.require()
    require_signatures("the order", text, signatures, ORDER_NAMESPACE, root.signers, root.threshold)
    order, digest = _parse(text), order_digest(text)
    floor = store.floors().app(order.app)
    require_order(order, digest, epoch, root, floor)
    app = store.app(order.app)
    trial = _trial(store, order.app)
    if trial is None and digest == floor.order:
        is_confirmed = digest == floor.confirmed_order and app.current() == order.manifest
        if is_confirmed or epoch == floor.order_epoch:
            return order.app  # confirmed, or reverted: never twice in one epoch
    if trial is not None and (trial.order, trial.release) != (digest, order.manifest):
        message = "release {} of {} is on trial and not yet decided"
        hint = "Confirm it or revert it, or wait for its deadline."
        raise RefusalError(ON_TRIAL, message.format(trial.release[:12], order.app), hint)
    if trial is not None and trial.epoch == epoch:
        return order.app
    new_trial = _new_trial(order, digest, epoch, trial_s, hooks)._replace(
        newest_s=_require_acceptable(store, order)
    )
    if trial is not None:
        new_trial = new_trial._replace(previous=trial.previous, older=trial.older)
        trials.renew(order.app, new_trial)
    else:
        new_trial = new_trial._replace(previous=app.current(), older=app.previous())
        trials.begin(order.app, new_trial)
    return order.app


def _new_trial(
    order: RolloutOrder, digest: str, epoch: int, trial_s: float, hooks: bool
) -> ReleaseTrial:
    now = boot.since_boot_s()
    return ReleaseTrial(
        release=order.manifest,
        previous="",
        older="",
        order=digest,
        order_counter=order.counter,
        fleet=order.fleet,
        epoch=epoch,
        boot_id=boot.boot_id(),
        began_s=now,
        deadline_s=now + trial_s,
        newest_s=0.0,
        hooks=hooks,
    )


def confirm_release(
    store: ReleaseStore, trials: ReleaseTrials, name: str, release: str, order: str
) -> None:
    """Keep the release on trial for good.

    Args:
        store: Releases of the board, locked and settled.
        trials: ReleaseTrials of the same store.
        name: Name of the application.
        release: Digest of the release on trial.
        order: Digest of its order.

    Raises:
        RefusalError: The release is not on trial under this order, and was not confirmed.
        OSError: The disk refuses writing.
    """
    app = store.app(name)
    trial = _trial(store, name)
    if trial is None and (app.current(), store.floors().app(name).confirmed_order) == (
        release,
        order,
    ):
        return
    if trial is None or trial.is_over or (trial.release, trial.order) != (release, order):
        raise _other_trial(store, name, release)
    manifest = store.releases.read(release).manifest
    trials.confirm(name, trial, manifest.counter, manifest.security_floor)


def revert_release(
    store: ReleaseStore, trials: ReleaseTrials, name: str, release: str, reason: str
) -> None:
    """End a trial, and go back to the release before it.

    A confirmed release stays: going back from it takes a signed order.

    Args:
        store: Releases of the board, locked and settled.
        trials: ReleaseTrials of the same store.
        name: Name of the application.
        release: Digest of the release on trial.
        reason: Reason, for the log.

    Raises:
        RefusalError: Another release is on trial, or this one is confirmed.
        OSError: The disk refuses writing.
    """
    trial = _trial(store, name)
    if trial is None and store.app(name).current() != release:
        return
    if trial is None:
        message = "release {} of {} is confirmed".format(release[:12], name)
        hint = "Going back takes a rollback order: `kedge fleet rollback`."
        raise RefusalError(ON_TRIAL, message, hint)
    if trial.release != release:
        raise _other_trial(store, name, release)
    trials.revert(name, trial, reason[:MOST_REASON])


def _require_acceptable(store: ReleaseStore, order: RolloutOrder) -> float:
    """Refuse an order whose release may not become active; return the newest signed time."""
    root, floors = store.roots.require(), store.floors()
    release = store.releases.read(order.manifest)
    require_signatures(
        "the release",
        release.text,
        release.signatures,
        RELEASE_NAMESPACE,
        root.signers,
        root.threshold,
    )
    machine = os.uname().machine
    require_release(order, release.manifest, release.variant, machine, floors.app(order.app))
    newest_s = require_time(order, release.manifest, boot.wall_clock_s(), floors)
    store.releases.require_whole(release)
    return newest_s


def _trial(store: ReleaseStore, name: str) -> Optional[ReleaseTrial]:
    try:
        return store.app(name).trial()
    except DamagedFileError as error:
        message = "the record of the trial of {} is damaged on the board".format(name)
        raise RefusalError(DIGEST_MISMATCH, message, "Check the board's storage.") from error


def _parse(text: bytes) -> RolloutOrder:
    try:
        return parse_order(text)
    except RecordError as error:
        raise RefusalError(DIGEST_MISMATCH, "the order is damaged: {}".format(error)) from error


def _other_trial(store: ReleaseStore, name: str, release: str) -> RefusalError:
    trial = _trial(store, name)
    what = "nothing" if trial is None else "release " + trial.release[:12]
    floor = store.floors().app(name)
    message = "expected release {} of {} on trial, found {}".format(release[:12], name, what)
    if floor.last_reason:
        message += "; the last revert: " + floor.last_reason
    return RefusalError(ON_TRIAL, message, "Look at the state of the board first.")
