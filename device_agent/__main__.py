"""The agent's entry: JSON lines on stdio, or, called with `job`, one inference job.

python3 -I AGENT.pyz serve ROOT     answer a host until it closes the connection
python3 -I AGENT.pyz restricted ROOT    as `serve`, but the host brings no programs
python3 -I AGENT.pyz job            do one job (what `serve` starts)
python3 -I AGENT.pyz watch ROOT APP, or recover ROOT     see `device_agent.watch`
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import signal
import sys
import time
from typing import Any, Callable, Dict, List, Optional

from device_agent import code_cache
from device_agent.child import HostGoneError, run_job
from device_agent.contract.codes import BAD_REQUEST, INTERNAL, RefusalError
from device_agent.contract.conditions import Conditions
from device_agent.contract.wire import (
    ALIVE,
    CHUNK_BYTES,
    MAX_LINE_BYTES,
    Event,
    Fault,
    Result,
    encode,
    parse_request,
)
from device_agent.job_fields import Job, job_to_json
from device_agent.operations.call import BoardAccess
from device_agent.process_group import adopt_orphans
from device_agent.session import AgentSession
from device_agent.store.durable import open_file
from device_agent.store.leftovers import (
    remove_abandoned_uploads,
    remove_older_agents,
    renew_agent_link,
)
from device_agent.store.receive import StreamLostError
from device_agent.store.store import Store

#: A host that sends nothing for so long in the middle of a file is gone.
SILENCE_S = 120.0

#: Time between two events that only say that a job still runs.
_ALIVE_EVERY_S = 10.0


def main(arguments: List[str]) -> int:
    """Run the agent; return its exit code."""
    if arguments == ["job"]:
        from device_agent import job  # the agent itself never loads what a job needs

        return job.main()
    if len(arguments) == 2 and arguments[0] in ("serve", "restricted"):
        return serve(os.path.expanduser(arguments[1]), arguments[0] == "serve")
    if (len(arguments), arguments[:1]) in ((3, ["watch"]), (2, ["recover"])):
        from device_agent import watch

        return watch.main(arguments)
    usage = "usage: {} serve ROOT | restricted ROOT | job | watch ROOT APP | recover ROOT\n"
    sys.stderr.write(usage.format(sys.argv[0]))
    return 2


def serve(root: str, may_add_code: bool = True) -> int:
    """Answer the host on stdio until it is gone."""
    os.umask(0o077)
    host = _Host()
    signal.signal(signal.SIGTERM, _exit_cleanly)
    signal.signal(signal.SIGHUP, _exit_cleanly)
    archive = os.path.abspath(sys.argv[0])
    command = [sys.executable, "-I", code_cache.program_of(archive), "job"]

    def run(
        job: Job,
        timeout_s: float,
        on_event: Callable[[Dict[str, Any]], None],
        on_tick: Callable[[], None],
    ) -> Dict[str, Any]:
        from device_agent.board_lock import alone_on_board

        adopt_orphans()
        tick = _in_turn(host.require, _alive_report(on_event), on_tick)

        def wait(other: str) -> None:
            host.require()
            on_event({"phase": "wait for {}, who measures on this board".format(other)})

        with alone_on_board(store.reservation.who, wait):
            return run_job(command, job_to_json(job), timeout_s, on_event, tick)

    store = Store(root)
    with contextlib.suppress(RefusalError):  # the first answer says it
        store.require_safe()
        code_cache.keep_compiled_code(archive)
        renew_agent_link(archive)
        remove_older_agents(archive)
        remove_abandoned_uploads(os.path.join(root, "store", "partial"))
    _recover_releases(store)
    if not code_cache.is_in_use():
        _return_spare_memory()
    session = AgentSession(
        BoardAccess(
            store,
            run,
            board_facts,
            board_conditions,
            _digest_of(archive),
            host.has_line,
            may_add_code,
            lambda app: _watch_over(root, app),
        )
    )
    try:
        while True:
            line = host.line()
            if line is None:
                return 0
            answer_line(session, host, line)
    except (HostGoneError, StreamLostError, ConnectionError):
        return 0


def _in_turn(*acts: Callable[[], None]) -> Callable[[], None]:
    def act_in_turn() -> None:
        for act in acts:
            act()

    return act_in_turn


def _alive_report(on_event: Callable[[Dict[str, Any]], None]) -> Callable[[], None]:
    """Return a function that says every `_ALIVE_EVERY_S` that a job still runs."""
    report_at = time.monotonic() + _ALIVE_EVERY_S

    def report() -> None:
        nonlocal report_at
        if time.monotonic() >= report_at:
            on_event({ALIVE: True})
            report_at = time.monotonic() + _ALIVE_EVERY_S

    return report


def answer_line(session: AgentSession, host: _Host, line: bytes) -> None:
    """Answer one line of the host, whatever it is."""
    number = 0
    try:
        request = parse_request(line)
        number = request.id
        answer = session.handle(request, host.read, lambda event: host.send(Event(number, event)))
        result = encode(Result(number, answer.result))
    except RefusalError as fault:
        host.send(Fault(number, fault.code, str(fault), fault.hint, fault.traceback))
    except (HostGoneError, StreamLostError, ConnectionError):
        raise
    except Exception as error:
        import traceback  # as small as can be until something is wrong

        text = traceback.format_exc()[-20000:]
        message = "{}: {}".format(type(error).__name__, error)[:2000]
        host.send(
            Fault(number, INTERNAL, message, "This is a bug in kedge: please report it.", text)
        )
    else:
        host.write(result)
        if answer.body is not None:
            host.send_file(answer.body)


class _Host:
    """The other end of stdio. Standard output is kept for answers alone."""

    def __init__(self) -> None:
        self._input = 0
        self._output = os.dup(1)
        os.dup2(2, 1)  # a stray print must not corrupt the wire
        self._buffer = b""

    def line(self) -> Optional[bytes]:
        """Return the next line; `None` when the host has closed the connection."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_LINE_BYTES:
                self._buffer = b""
                fault = "a line is at most {} bytes long".format(MAX_LINE_BYTES)
                self.send(Fault(0, BAD_REQUEST, fault, "", ""))
                raise HostGoneError(fault)
            if not self._fill():
                return None
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def has_line(self) -> bool:
        """Whether a line has arrived that is not yet read."""
        return b"\n" in self._buffer

    def read(self, size: int) -> bytes:
        """Return at most `size` raw bytes; empty when the host is gone, or silent for too long.

        A host that lost its network does not close the connection, and what it was sending stays
        locked for every other as long as it is waited for.
        """
        if not self._buffer:
            readable, _, _ = select.select([self._input], [], [], SILENCE_S)
            if not readable or not self._fill():
                return b""
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def require(self) -> None:
        """Notice that the host is gone although nobody reads from it just now."""
        readable, _, _ = select.select([self._input], [], [], 0)
        if readable and not self._fill():
            raise HostGoneError("the host closed the connection")

    def send(self, message: Any) -> None:
        """Send one message."""
        self.write(encode(message))

    def send_file(self, path: str) -> None:
        """Send the bytes of a file that a result announced."""
        with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
            for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
                self.write(chunk)

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._output, view) :]

    def _fill(self) -> bool:
        data = os.read(self._input, CHUNK_BYTES)
        self._buffer += data
        return bool(data)


def _recover_releases(store: Store) -> None:
    if os.path.isdir(store.folders.apps) and _may_need_recovery(store):
        from device_agent.watch import recover_all  # most sessions find nothing to recover

        recover_all(store.folders.root)


def _may_need_recovery(store: Store) -> bool:
    """Whether there is a trial, or the board has started since the releases were looked at."""
    from device_agent.board.boot import boot_id

    apps = store.folders.apps
    try:
        if any(
            os.path.lexists(os.path.join(apps, name, "trial.json")) for name in os.listdir(apps)
        ):
            return True
        with open(os.path.join(store.folders.store, "floor.json"), "rb") as file:
            return '"checked_boot":"{}"'.format(boot_id()).encode() not in file.read()
    except OSError:
        return True


def _watch_over(root: str, app: str) -> None:
    from device_agent.watch import start_watcher

    start_watcher(root, app)


def _return_spare_memory() -> None:
    """Give back what compiling this archive took; 0.6 MB that would stay until the agent ends."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes  # some boards have a Python without it; musl has no `malloc_trim`

        ctypes.CDLL(None).malloc_trim(0)


def _exit_cleanly(number: int, _: Optional[object]) -> None:
    raise SystemExit(128 + number)


def board_facts() -> Dict[str, Any]:
    """Return the facts of the board and of the runtimes that its own Python has."""
    from device_agent.board.board_runtimes import board_runtimes
    from device_agent.board.facts import read_facts

    return dict(read_facts(), board_runtimes=board_runtimes())


def board_conditions() -> Conditions:
    """Return the conditions of the board."""
    from device_agent.board.conditions import read_conditions

    return read_conditions()


def _digest_of(path: str) -> str:
    if not os.path.isfile(path):
        return ""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
