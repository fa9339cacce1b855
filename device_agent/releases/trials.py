"""Activates, confirms and reverts releases, so that a crash at any point leaves old or new.

A trial is written before `current` is switched and removed after it is decided. Whoever finds one
(the next session, the watcher, the start after a reboot) completes what was begun: `settle`.
"""

from __future__ import annotations

import contextlib
import errno
from typing import Any, Callable, Dict, List

from device_agent.board import boot
from device_agent.contract.codes import HOOK_FAILED, RefusalError
from device_agent.contract.release_state import ACTIVATE, CONFIRM, REVERT
from device_agent.releases.app_folder import AppFolder, ReleaseTrial
from device_agent.releases.hooks import RELOAD_TIMEOUT_S, run_hook
from device_agent.releases.release_store import ReleaseStore
from device_agent.store.checked_file import DamagedFileError

#: Number of times that a reload is begun. Without a limit, a command that ends the agent would end
#: it in each later session, so that nobody could reach the board any more.
_MOST_RELOADS = 2

#: Starts the process that reverts the trial of an application at its deadline.
StartWatcher = Callable[[str], None]

REBOOTED = "the board restarted before the release was confirmed"
TOO_LATE = "the release was not confirmed before its deadline"
_INTERRUPTED = "a revert was interrupted"
_NOT_WRITTEN = "the disk of the board refused the record of the activation"
_DEADLY_RELOAD = "each time while the application reloaded a release, the agent of the board ended"
_DAMAGED_TRIAL = "the record of the trial was damaged on the board"


class ReleaseTrials:
    """The trials of one store; every method is called with the store locked."""

    def __init__(self, store: ReleaseStore, start_watcher: StartWatcher) -> None:
        self._store = store
        self._start_watcher = start_watcher

    def begin(self, name: str, trial: ReleaseTrial) -> None:
        """Activate a release that was verified, until it is confirmed or reverted.

        Args:
            name: Name of the application.
            trial: Release and order; `previous` and `older` are what the board has now.

        Raises:
            RefusalError: The command of the application failed, and the board has reverted; or the
                watcher cannot be started.
            OSError: The disk refuses writing; the board has reverted, or the next call of `settle`
                does it.
        """
        app = self._store.app(name)
        app.make()
        self._store.reserve_space()
        if trial.previous and trial.previous != trial.release:
            app.remember(trial.previous)
        app.write_trial(trial)
        try:
            self._start_watcher(name)
            app.switch(trial.release)
        except BaseException:
            with contextlib.suppress(OSError, RefusalError):
                self._undo(app, trial)
            raise
        try:
            self._note_activation(name, trial)
            failure = self._reload_on_trial(name, trial)
        except OSError:
            with contextlib.suppress(OSError, RefusalError):
                self.revert(name, trial, _NOT_WRITTEN)
            raise
        if failure:
            self.revert(name, trial, failure)
            raise RefusalError(
                HOOK_FAILED,
                "the release is reverted: " + failure,
                "Look at what the command printed, and at the log of the application.",
            )

    def renew(self, name: str, trial: ReleaseTrial) -> None:
        """Let another controller go on with a trial.

        Args:
            name: Name of the application.
            trial: Trial with the epoch and the deadline of the new controller.

        Raises:
            OSError: The disk refuses writing; the trial is what it was.
        """
        app = self._store.app(name)
        old = app.trial()
        if old is not None:
            trial = trial._replace(reloads=old.reloads, is_reloaded=old.is_reloaded)
        app.write_trial(trial)
        self._start_watcher(name)
        self._note_activation(name, trial)

    def confirm(self, name: str, trial: ReleaseTrial, counter: int, security_floor: int) -> None:
        """Keep the release on trial.

        Args:
            name: Name of the application.
            trial: Trial to end.
            counter: Counter of the release.
            security_floor: Lowest counter of a release that is accepted from now on.

        Raises:
            OSError: The disk refuses writing; the next call of `settle` completes it where the log
                has it.
        """
        self._spare(lambda: self._keep(name, trial, counter, security_floor))

    def _keep(self, name: str, trial: ReleaseTrial, counter: int, security_floor: int) -> None:
        fields = {"release_counter": counter, "security_floor": security_floor}
        self._note(CONFIRM, name, trial, fields)
        floors = self._store.floors()
        app = floors.app(name)
        floor_after = app._replace(
            confirmed_order=trial.order,
            release_counter=max(app.release_counter, counter),
            security_floor=max(app.security_floor, security_floor),
            last_event=CONFIRM,
            last_reason="",
        )
        self._store.write_floors(floors.with_app(name, floor_after))
        self._store.app(name).end_trial()

    def revert(self, name: str, trial: ReleaseTrial, reason: str) -> None:
        """Go back to the release before the trial; without one there is no `current` afterwards.

        Raises:
            RefusalError: The release before is damaged: the one on trial stays.
            OSError: The disk refuses writing; the next call of `settle` completes it.
        """
        if trial.previous:
            self._store.releases.require_present(self._store.releases.read(trial.previous))
        self._spare(lambda: self._go_back(name, trial, reason))

    def _go_back(self, name: str, trial: ReleaseTrial, reason: str) -> None:
        app = self._store.app(name)
        with contextlib.suppress(OSError):  # the way back is more urgent than its record
            self._note_activation(name, trial)
        app.switch(trial.previous)
        self._note_activation(name, trial)
        self._finish_revert(name, trial, reason)

    def settle(self, name: str) -> None:
        """Complete what a crash interrupted, and revert a trial that is over.

        Raises:
            RefusalError: The release before is damaged: the one on trial stays.
            OSError: The disk refuses writing; call it again.
        """
        app = self._store.app(name)
        if not app.has_trial():
            return
        try:
            trial = app.trial()
        except DamagedFileError:
            self._settle_damaged(name)
            return
        if trial is None:
            return
        journal, key = self._store.journal, (trial.order, trial.epoch)
        confirmation = journal.find(CONFIRM, *key)
        reversion = journal.find(REVERT, *key)
        is_active = app.current() == trial.release
        if confirmation is not None:
            counters = [int(confirmation[key]) for key in ("release_counter", "security_floor")]
            self.confirm(name, trial, *counters)
        elif not is_active and journal.find(ACTIVATE, *key) is None:
            self._undo(app, trial)
        elif reversion is not None:
            self.revert(name, trial, str(reversion.get("reason", "")))
        elif trial.is_over or not is_active:
            self.revert(name, trial, _reason(trial))
        else:
            self._note_activation(name, trial)
            self._start_watcher(name)
            failure = self._reload_on_trial(name, trial)
            if failure:
                self.revert(name, trial, failure)

    def _spare(self, act: Callable[[], None]) -> None:
        """Do what may be repeated; where the disk is full, once more with the reserved space."""
        try:
            act()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._store.release_space():
                raise
            act()

    def _settle_damaged(self, name: str) -> None:
        """Go back where a record says that the active release was never confirmed."""
        app = self._store.app(name)
        floors = self._store.floors()
        floor = floors.app(name)
        if floor.last_event == ACTIVATE and app.previous():
            active = app.current()
            app.switch(app.previous())
            floor_after = floor._replace(
                last_event=REVERT, last_reason=_DAMAGED_TRIAL, since=boot.wall_clock_s()
            )
            fields = {"order": floor.order, "epoch": floor.order_epoch, "reason": _DAMAGED_TRIAL}
            self._store.journal.append(REVERT, dict(fields, app=name, release=active))
            self._store.write_floors(floors.with_app(name, floor_after))
        app.set_trial_aside()

    def _finish_revert(self, name: str, trial: ReleaseTrial, reason: str) -> None:
        """Write down that the board went back, let the application know, and end the trial."""
        app = self._store.app(name)
        self._note(REVERT, name, trial, {"reason": reason})
        floors = self._store.floors()
        floor = floors.app(name)
        if floor.last_event != REVERT:
            floor_after = floor._replace(
                last_event=REVERT, last_reason=reason, since=boot.wall_clock_s()
            )
            self._store.write_floors(floors.with_app(name, floor_after))
        failure = self._reload_back(name, trial)
        if failure:
            self._store.journal.append("hook", {"app": name, "reason": failure})
        app.remember(trial.older)
        app.end_trial()

    def _undo(self, app: AppFolder, trial: ReleaseTrial) -> None:
        """End a trial whose release never became active."""
        if app.current() == trial.release != trial.previous:
            app.switch(trial.previous)
        if app.previous() != trial.older and trial.previous != trial.release:
            app.remember(trial.older)
        app.end_trial()

    def _note_activation(self, name: str, trial: ReleaseTrial) -> None:
        """Write down that the release became active, once an order and epoch."""
        fields = {
            "fleet": trial.fleet,
            "order_counter": trial.order_counter,
            "previous": trial.previous,
            "newest_s": trial.newest_s,
            "hooks": trial.hooks,
        }
        self._note(ACTIVATE, name, trial, fields)
        floors = self._store.floors()
        app = floors.app(name)
        if (app.order, app.order_epoch) == (trial.order, trial.epoch):
            return
        active = app._replace(
            fleet=trial.fleet,
            order=trial.order,
            order_counter=trial.order_counter,
            order_epoch=trial.epoch,
            since=boot.wall_clock_s(),
            last_event=ACTIVATE,
            last_reason="",
            hooks=trial.hooks,
        )
        floors = floors._replace(newest_s=max(floors.newest_s, trial.newest_s))
        self._store.write_floors(floors.with_app(name, active))

    def _note(self, event: str, name: str, trial: ReleaseTrial, more: Dict[str, Any]) -> None:
        """Write an event of a trial to the log, unless it is there already."""
        if self._store.journal.find(event, trial.order, trial.epoch) is not None:
            return
        fields = {
            "app": name,
            "release": trial.release,
            "order": trial.order,
            "epoch": trial.epoch,
        }
        self._store.journal.append(event, dict(fields, **more))

    def _reload_on_trial(self, name: str, trial: ReleaseTrial) -> str:
        """Let the application load the release on trial, unless it has done so.

        A session may have ended before the application had loaded it; then the next one goes on.

        Returns:
            Reason why it failed; empty where it did not, or no command is there or allowed.

        Raises:
            OSError: The disk refuses the record of the reload.
        """
        command = self._reload_command(trial.release, trial.hooks)
        if not command or trial.is_reloaded:
            return ""
        if trial.reloads >= _MOST_RELOADS:
            return _DEADLY_RELOAD
        app, trial = self._store.app(name), trial._replace(reloads=trial.reloads + 1)
        app.write_trial(trial)
        failure = self._reload(name, command)
        if not failure:
            app.write_trial(trial._replace(is_reloaded=True))
        return failure

    def _reload_back(self, name: str, trial: ReleaseTrial) -> str:
        """Let the application load the release before; return why it failed, empty for success.

        Raises:
            OSError: The disk refuses the record of the reload.
        """
        command = self._reload_command(trial.previous or trial.release, trial.hooks)
        if not command:
            return ""
        if trial.reloads_back >= _MOST_RELOADS:
            return _DEADLY_RELOAD
        self._store.app(name).write_trial(trial._replace(reloads_back=trial.reloads_back + 1))
        return self._reload(name, command)

    def reload(self, name: str, release: str, is_allowed: bool) -> None:
        """Let an application open `current` again; a failure is written to the log.

        Args:
            name: Name of the application.
            release: Digest of the release that is active now.
            is_allowed: Whether the commands of the application may be run.

        Raises:
            OSError: The disk refuses the record of a failure.
        """
        command = self._reload_command(release, is_allowed)
        failure = self._reload(name, command) if command else ""
        if failure:
            self._store.journal.append("hook", {"app": name, "reason": failure})

    def _reload_command(self, digest: str, is_allowed: bool) -> List[str]:
        """Return the command that makes the application open `current` again; empty for none."""
        if not is_allowed:
            return []
        with contextlib.suppress(RefusalError):
            return self._store.releases.read(digest).manifest.hooks.reload
        return []

    def _reload(self, name: str, command: List[str]) -> str:
        end = run_hook(command, RELOAD_TIMEOUT_S, self.variables(name))
        if end.exit_code == 0:
            return ""
        message = "the command that reloads {} ended with {}: {}"
        return message.format(name, end.exit_code, " ".join(end.output.split())[-400:])

    def variables(self, name: str) -> Dict[str, str]:
        """Return the variables that the commands of an application get."""
        return {"KEDGE_APP": name, "KEDGE_CURRENT": self._store.app(name).path + "/current"}


def _reason(trial: ReleaseTrial) -> str:
    if trial.boot_id != boot.boot_id():
        return REBOOTED
    return TOO_LATE if trial.is_over else _INTERRUPTED
