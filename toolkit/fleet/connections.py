"""Connections to the boards of a fleet, kept open from one step to the next where it saves time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

from converters.model_file import ModelFile
from device_agent.contract.release_state import BoardReleases
from targets.device import Device
from targets.inventory import Target
from targets.known_boards import KnownBoards
from targets.provision import connect, reopen_device
from targets.quick_look import look_at_releases
from targets.quick_push import MOST_BYTES, push_quickly
from targets.staged_file import StagedFile
from targets.transport import UnreachableError
from toolkit.admission import ModelRefusedError, admit, admit_to_runtime

#: Seconds for which a connection waits for the next step of its board.
_IDLE_S = 60.0

#: Largest number of connections that wait; each holds a file descriptor and two threads.
_MOST_IDLE = 256


@dataclass
class _Idle:
    device: Device
    stack: ExitStack
    since: float


class BoardConnections:
    """Connections by name of the target; each is used by one thread at a time."""

    def __init__(self, targets: Mapping[str, Target], boards: KnownBoards) -> None:
        self._targets = targets
        self._boards = boards
        self._lock = threading.Lock()
        self._idle: dict[str, _Idle] = {}

    @contextmanager
    def open(self, name: str, keep: bool) -> Iterator[Device]:
        """Connect to a board, or go on with an open connection.

        Args:
            name: Name of the target.
            keep: Whether the next step of the board follows soon: then the connection waits for it.

        Raises:
            TargetError: The board cannot be reached, or the agent cannot be brought there.
            IntegrityError: The agent is damaged on the board.
        """
        entry = self._take(name)
        if entry is None:
            stack = ExitStack()
            device = stack.enter_context(reopen_device(self._targets[name], self._boards))
            entry = _Idle(device, stack, 0.0)
        with ExitStack() as closing:
            closing.enter_context(entry.stack)
            yield entry.device
            if keep:
                self._put(name, _Idle(entry.device, closing.pop_all(), time.monotonic()))

    def look(self, name: str) -> BoardReleases:
        """Read what a board runs; without its agent where the board is known and all is plain.

        Args:
            name: Name of the target.

        Raises:
            TargetError: The board cannot be reached, or the agent cannot be brought there.
            IntegrityError: The agent is damaged on the board.
        """
        target = self._targets[name]
        board = self._boards.get(target)
        if board is not None:
            with connect(target) as transport:
                releases = look_at_releases(transport, board.root)
            if releases is not None:
                return releases
        with self.open(name, keep=False) as device:
            return device.releases.state()

    def push(
        self, name: str, model: ModelFile, content: bytes, force: bool = False
    ) -> tuple[StagedFile, str]:
        """Send a model into the scratch area; without the agent where the board is known.

        Args:
            name: Name of the target.
            model: Model file.
            content: Content of the file.
            force: Whether a refusal of the runtime is overridden.

        Returns:
            The file on the board, and the refusal that was overridden; "" where there was none.

        Raises:
            ConversionError: The board's runtime cannot load it.
            TargetError: The board cannot be reached, or has no room.
            IntegrityError: It arrived damaged.
        """
        target = self._targets[name]
        board = self._boards.get(target)
        runtime = board.runtimes.get(model.format) if board is not None else None
        if board is not None and runtime is not None and len(content) <= MOST_BYTES:
            with suppress(ModelRefusedError):  # the board may have another runtime by now
                admit_to_runtime(model, target, *runtime)
                with connect(target) as transport:
                    staged = push_quickly(transport, board.root, content, model.sha256)
                if staged is not None:
                    return staged, ""
        with self.open(name, keep=False) as device:
            refusal = admit(model, device, force)
            choice = device.runtime_for(model.format)
            board = self._boards.get(target)
            if board is not None:
                runtimes = {**board.runtimes, model.format: [choice.distribution, choice.version]}
                self._boards.keep(target, replace(board, runtimes=runtimes))
            return device.push(model.path), refusal

    def close(self) -> None:
        """Close the connections that wait, and remember the boards for the next command."""
        with self._lock:
            entries, self._idle = [*self._idle.values()], {}
        for entry in entries:
            entry.stack.close()
        self._boards.save()

    def _take(self, name: str) -> _Idle | None:
        """Return a connection that waits and still answers."""
        with self._lock:
            entry = self._idle.pop(name, None)
        if entry is None:
            return None
        try:
            if time.monotonic() - entry.since < _IDLE_S:
                entry.device.agent_sha256()
                return entry
        except UnreachableError:
            pass
        entry.stack.close()
        return None

    def _put(self, name: str, entry: _Idle) -> None:
        now = time.monotonic()
        with self._lock:
            self._idle[name] = entry
            by_age = sorted(self._idle, key=lambda other: self._idle[other].since)
            old = [other for other in by_age if now - self._idle[other].since >= _IDLE_S]
            old += by_age[: max(0, len(by_age) - len(old) - _MOST_IDLE)]
            entries = [self._idle.pop(other) for other in set(old)]
        for each in entries:
            each.stack.close()
