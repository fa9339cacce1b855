"""Operations on releases: what a controller sees of them, and has the board do with them."""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict
from typing import Any, Dict, Iterator, Tuple

from device_agent.contract.codes import BAD_REQUEST, HOOK_FAILED, NOT_FOUND, READ_ONLY, RefusalError
from device_agent.contract.names import require_app
from device_agent.contract.records import RecordError
from device_agent.contract.trust_root import encode_root
from device_agent.operations.call import AgentCall, Answer
from device_agent.operations.limits import require_code_allowed
from device_agent.os_errors import named_os_errors
from device_agent.releases.activation import activate_release, confirm_release, revert_release
from device_agent.releases.board_state import read_app, read_releases
from device_agent.releases.garbage import GRACE_S, collect_garbage
from device_agent.releases.hooks import HEALTH_TIMEOUT_S, run_hook
from device_agent.releases.recovery import recover
from device_agent.releases.release_store import ReleaseStore
from device_agent.releases.staging import find_missing, stage_release
from device_agent.releases.trials import ReleaseTrials
from device_agent.store.leftovers import link_agent

#: Most entries of the log in one answer; a line of the wire holds them.
MOST_ENTRIES = 500

#: Shortest time of a trial: a controller needs some seconds to look at a board.
_LEAST_TRIAL_S = 1


def releases(call: AgentCall) -> Answer:
    """Report the state of all applications, after completing what a crash interrupted."""
    store = ReleaseStore(call.board.store)
    call.board.store.require_safe()
    with named_os_errors():
        if not store.is_empty:
            _recover_if_possible(call, store)
        return Answer(asdict(read_releases(store)))


def missing(call: AgentCall) -> Answer:
    """Report which files of a release are not on the board, and whether they fit.

    Raises:
        RefusalError: They do not fit on the disk.
    """
    store = ReleaseStore(call.board.store)
    with named_os_errors():
        digests, sizes = call.args.texts("sha256"), call.args.sizes("sizes")
        return Answer(find_missing(store, digests, sizes))


def stage(call: AgentCall) -> Answer:
    """Make a release out of the files that have arrived."""
    text, signatures = call.args.text("manifest"), call.args.texts("signatures")
    variant = call.args.text("variant")
    with _changing(call) as (store, _):
        return Answer({"release": stage_release(store, text.encode("utf-8"), signatures, variant)})


def activate(call: AgentCall) -> Answer:
    """Activate a staged release on trial.

    Raises:
        RefusalError: The board does not accept it, or has reverted it, as a command failed.
    """
    text, signatures = call.args.text("order"), call.args.texts("signatures")
    trial_s = call.args.count("deadline_s", _LEAST_TRIAL_S, 86400)
    epoch, hooks = call.args.count("epoch"), call.args.truth("hooks")
    with _changing(call) as (store, trials):
        name = activate_release(
            store, trials, text.encode("utf-8"), signatures, epoch, trial_s, hooks
        )
        return _state(store, name)


def confirm(call: AgentCall) -> Answer:
    """Keep the release on trial for good."""
    name, release = _app(call), call.args.digest("release")
    order = call.args.digest("order")
    with _changing(call) as (store, trials):
        confirm_release(store, trials, name, release, order)
        return _state(store, name)


def revert(call: AgentCall) -> Answer:
    """Go back to the release before the trial."""
    name, release = _app(call), call.args.digest("release")
    reason = call.args.text("reason")
    with _changing(call) as (store, trials):
        revert_release(store, trials, name, release, reason)
        return _state(store, name)


def health(call: AgentCall) -> Answer:
    """Run the command of the application that says whether it works.

    Raises:
        RefusalError: Commands are not allowed, or the active release has none.
    """
    name = _app(call)
    store = ReleaseStore(call.board.store)
    app, floor = store.app(name), store.floors().app(name)
    current = app.current()
    if not current:
        raise RefusalError(NOT_FOUND, "the board has no active release of {}".format(name))
    command = store.releases.read(current).manifest.hooks.health
    if not command:
        raise RefusalError(HOOK_FAILED, "the release of {} has no command for health".format(name))
    if not (call.args.with_defaults({"hooks": floor.hooks}).truth("hooks")):
        hint = "Set `hooks = true` for this target in kedge.toml, if its commands may run there."
        raise RefusalError(HOOK_FAILED, "commands are not allowed on this board", hint)
    trials = ReleaseTrials(store, call.board.start_watcher)
    return Answer(dict(run_hook(command, HEALTH_TIMEOUT_S, trials.variables(name))._asdict()))


def collect(call: AgentCall) -> Answer:
    """Remove releases and files that nothing uses."""
    pins = call.args.texts("pinned")
    grace_s = call.args.with_defaults({"grace_s": GRACE_S}).seconds("grace_s")
    with _changing(call) as (store, _):
        return Answer(dict(collect_garbage(store, pins, grace_s)._asdict()))


def release_log(call: AgentCall) -> Answer:
    """Send what happened to the releases, from an entry on."""
    after = call.args.count("after")
    store = ReleaseStore(call.board.store)
    entries = [entry for entry in store.journal.entries() if entry["number"] > after]
    return Answer({"entries": entries[:MOST_ENTRIES]})


def trust(call: AgentCall) -> Answer:
    """Enrol the signers that the board accepts from now on.

    Raises:
        RefusalError: The signers of the board have not signed it.
    """
    text, signatures = call.args.text("root"), call.args.texts("signatures")
    store = ReleaseStore(call.board.store)
    with store.lock():
        if store.roots.is_empty:  # also a damaged root is one
            require_code_allowed(call, "its first signers")
        link_agent(os.path.join(store.folders.root, "agent"), call.board.agent_sha256)
        return Answer({"version": store.roots.accept(text.encode("utf-8"), signatures)})


def trust_root(call: AgentCall) -> Answer:
    """Send the newest trust root; an empty text where none is enrolled."""
    root = ReleaseStore(call.board.store).roots.newest()
    return Answer({"root": encode_root(root).decode("ascii") if root else ""})


@contextlib.contextmanager
def _changing(call: AgentCall) -> Iterator[Tuple[ReleaseStore, ReleaseTrials]]:
    """Lock the releases, complete what was interrupted, and refuse a replaced controller."""
    store = ReleaseStore(call.board.store)
    trials = ReleaseTrials(store, call.board.start_watcher)
    epoch = call.args.count("epoch")
    with store.lock():
        recover(store, trials)
        store.fence(epoch)
        yield store, trials


def _recover_if_possible(call: AgentCall, store: ReleaseStore) -> None:
    """Complete what was interrupted; a board that cannot be written still says what it has."""
    try:
        with store.lock():
            recover(store, ReleaseTrials(store, call.board.start_watcher))
    except OSError:
        pass
    except RefusalError as refusal:
        if refusal.code not in (READ_ONLY,):
            raise


def _app(call: AgentCall) -> str:
    try:
        return require_app(call.args.text("app"))
    except RecordError as error:
        raise RefusalError(BAD_REQUEST, str(error)) from error


def _state(store: ReleaseStore, name: str) -> Answer:
    state: Dict[str, Any] = asdict(read_app(store, store.floors(), name))
    return Answer({"state": state})
