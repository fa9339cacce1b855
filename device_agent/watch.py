"""Works on releases without a controller: the watcher of a trial, and the recovery after a reboot.

python3 -I AGENT.pyz watch ROOT APP     revert the trial of an application at its deadline
python3 -I AGENT.pyz recover ROOT       complete or revert all trials, as after a reboot
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from typing import Iterator, List

from device_agent import code_cache
from device_agent.contract.codes import LIMIT, RefusalError
from device_agent.releases.recovery import recover
from device_agent.releases.release_store import ReleaseStore
from device_agent.releases.trials import ReleaseTrials
from device_agent.store.checked_file import DamagedFileError
from device_agent.store.durable import open_file
from device_agent.store.store import Store

#: Longest sleep of a watcher, after which it looks whether its trial is decided.
POLL_S = 1.0

#: Time between two tries of a watcher where the disk refuses writing.
_RETRY_S = 5.0

#: Longest wait for another watcher of the application, which ends if its trial is decided.
_HANDOVER_S = 3 * POLL_S

_START_TIMEOUT_S = 30.0
_POLL_LOCK_S = 0.05


def start_watcher(root: str, app: str) -> None:
    """Start a watcher that outlives this agent and holds none of its files.

    Args:
        root: Root folder of kedge.
        app: Name of the application.

    Raises:
        RefusalError: The board starts no more processes.
    """
    program = code_cache.program_of(os.path.abspath(sys.argv[0]))
    command = [sys.executable, "-I", program, "watch", root, app]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
            timeout=_START_TIMEOUT_S,
            check=False,
        )
        failure = done.stderr.decode("utf-8", "replace")[-500:] if done.returncode else ""
    except (OSError, subprocess.SubprocessError) as error:
        failure = str(error)
    if failure:
        message = "the process that watches over the trial did not start: {}".format(failure)
        hint = "End other processes on the board (`ulimit -u` shows the limit), then try again."
        raise RefusalError(LIMIT, message, hint)


def watch_detached(root: str, app: str) -> int:
    """Go on in a process of its own, so that whoever started this one need not wait."""
    if os.fork():
        return 0
    os.setsid()
    for handle in (0, 1, 2):
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, handle)
        os.close(nowhere)
    return watch(root, app)


def watch(root: str, app: str) -> int:
    """Revert the trial of an application at its deadline; end as soon as it is decided."""
    os.umask(0o077)
    store = ReleaseStore(Store(root))
    with _alone(store, app) as is_alone:
        if not is_alone:
            return 0
        while True:
            if not store.app(app).has_trial():
                return 0
            remaining_s = _remaining_s(store, app)
            if remaining_s > 0:
                time.sleep(min(POLL_S, remaining_s))
                continue
            with contextlib.suppress(OSError, RefusalError):
                with store.lock():
                    ReleaseTrials(store, _keep_watching).settle(app)
                continue
            time.sleep(_RETRY_S)


def recover_all(root: str) -> int:
    """Complete or revert all trials of a root folder; return the exit code."""
    os.umask(0o077)
    store = ReleaseStore(Store(root))
    if store.is_empty:
        return 0
    try:
        with store.lock():
            recover(store, ReleaseTrials(store, lambda app: start_watcher(root, app)))
    except (OSError, RefusalError) as error:
        sys.stderr.write("the releases of {} are not recovered: {}\n".format(root, error))
        return 1
    return 0


@contextlib.contextmanager
def _alone(store: ReleaseStore, app: str) -> Iterator[bool]:
    """Hold the right to watch over an application; `False` where another process has it."""
    path = os.path.join(store.app(app).path, "watcher")
    try:
        handle = open_file(path, os.O_RDWR | os.O_CREAT)
    except (OSError, RefusalError):
        yield False
        return
    try:
        yield _take(handle)
    finally:
        os.close(handle)


def _take(handle: int) -> bool:
    deadline = time.monotonic() + _HANDOVER_S
    while time.monotonic() < deadline:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            time.sleep(_POLL_LOCK_S)
    return False


def _remaining_s(store: ReleaseStore, app: str) -> float:
    """Return the seconds until the trial is over; 0 where nobody can read them any more."""
    try:
        trial = store.app(app).trial()
    except DamagedFileError:
        return 0.0
    except OSError:
        return POLL_S
    return trial.remaining_s if trial is not None else 0.0


def _keep_watching(_: str) -> None:
    pass


def main(arguments: List[str]) -> int:
    """Do what the command line says; return the exit code."""
    root = os.path.expanduser(arguments[1])
    if arguments[0] == "watch":
        return watch_detached(root, arguments[2])
    return recover_all(root)
