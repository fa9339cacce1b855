"""The host's end of the wire: asks the agent, and turns its refusals into exceptions."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from device_agent.contract.codes import (
    BAD_REQUEST,
    BUSY,
    DIGEST_MISMATCH,
    NO_SPACE,
    NOT_FOUND,
    READ_ONLY,
    UNSAFE_ROOT,
    IntegrityError,
)
from device_agent.contract.records import RecordError, read_count, read_value
from device_agent.contract.wire import (
    ALIVE,
    CHUNK_BYTES,
    MAX_LINE_BYTES,
    Event,
    Fault,
    NotAMessageError,
    Request,
    Result,
    WireError,
    encode,
    parse_reply,
)
from targets.board_disk import disk_error
from targets.errors import TargetError
from targets.transport import Channel, DeadlineError, UnreachableError

#: Longest wait for an answer that needs no job on the board.
ANSWER_TIMEOUT_S = 60.0

#: An agent that is silent for longer in the middle of a file counts as lost.
TRANSFER_TIMEOUT_S = 60.0

#: Slowest disk, in bytes a second, that is waited for when a file ends on it: an old SD card.
SLOWEST_DISK = 1_000_000

#: Slowest transfer, in bytes a second, that is waited for: a modem's.
SLOWEST_TRANSFER = 1000

#: Largest file that is taken from a board.
MOST_FILE_BYTES = 1 << 30

#: Longest word of progress that a board may say.
_MOST_PHASE = 200

#: Longest wait for another host that sends the same file.
BUSY_TIMEOUT_S = 600.0
_BUSY_EVERY_S = 0.5

#: Largest number of lines that a login shell may print before the agent's first answer.
MOST_GREETING_LINES = 200

#: Code of an error that the host finds in an answer, beside those of the agent.
WIRE_CODE = "wire"

_GREETING_TAIL = 500
#: Silence after which an agent counts as hung that says every few seconds that it works.
ALIVE_TIMEOUT_S = 120.0

#: Longest message and traceback of a refusal, in characters.
_MOST_MESSAGE = 2000
_MOST_TRACEBACK = 20_000

_HUNG_HINT = "Try again; if it stays so, restart the board."
_FORM_HINT = (
    "Try again. If it stays so, something else than kedge's agent answers, or the board is damaged."
)
_GREETING_HINT = "Does a start file of the login, such as .bashrc, print or run something?"

OnEvent = Callable[[Mapping[str, Any]], None]
OnBytes = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


class AgentError(TargetError):
    """The board answered no."""

    exit_code = 7

    def __init__(self, code: str, message: str, hint: str = "", traceback: str = "") -> None:
        super().__init__(message, hint)
        self.code = code
        """One of `device_agent.contract.codes`; decide by it."""
        self.traceback = traceback
        """Traceback of the agent when the agent itself failed, else empty."""


@contextmanager
def answers_of(name: str) -> Iterator[None]:
    """Turn what is wrong with the form of an answer into an error of the board `name`.

    Raises:
        AgentError: An answer has another form; its code is `wire`.
    """
    try:
        yield
    except RecordError as error:
        message = f"{name}: an answer has another form than expected: {error}"
        raise AgentError(WIRE_CODE, message, _FORM_HINT) from error


def progress_of(event: Mapping[str, Any]) -> tuple[str, int, int]:
    """Return phase, amount done and amount in all of an event; empty and 0 where it has none."""
    phase, done, total = (event.get(name) for name in ("phase", "done", "total"))
    return (
        phase[:_MOST_PHASE] if isinstance(phase, str) else "",
        done if type(done) is int else 0,
        total if type(total) is int else 0,
    )


class AgentClient:
    """A conversation with one agent."""

    def __init__(self, channel: Channel, name: str) -> None:
        self._channel = channel
        self.name = name
        """Name of the board, for messages."""
        self._buffer = b""
        self._last_id = 0
        self._has_heard = False
        """Whether anything has come since the last request."""
        self._greeting: list[bytes] | None = []
        """Lines before the agent's first answer; `None` from then on."""
        self.sent_bytes = 0
        """Number of bytes sent so far; shows that nothing is sent twice."""
        self.damaged: set[str] = set()
        """Digests of files that were damaged on the board, and were sent anew."""

    def call(
        self,
        op: str,
        args: Mapping[str, Any],
        timeout_s: float = ANSWER_TIMEOUT_S,
        on_event: OnEvent | None = None,
    ) -> dict[str, Any]:
        """Ask the agent to do something.

        Args:
            op: Name of the operation.
            args: Arguments of the operation.
            timeout_s: The answer must be here within so long, whatever comes before it.
            on_event: Called with each event before the answer.

        Raises:
            AgentError: The agent refuses; `code` says why.
            BoardDiskError: The board's disk is full or read-only.
            IntegrityError: What arrived on the board is not what was sent.
            UnreachableError: The link or the agent ended.
            DeadlineError: The agent gave no answer in time.
        """
        self._ask(op, args)
        return self._answer(timeout_s, on_event)

    def call_stoppable(
        self, op: str, args: Mapping[str, Any], timeout_s: float, on_event: OnEvent | None = None
    ) -> dict[str, Any]:
        """Ask for work that Ctrl-C ends early, with the answer of what was done until then.

        A second Ctrl-C is raised. See `call`.
        """
        self._ask(op, args)
        try:
            return self._answer(timeout_s, on_event)
        except KeyboardInterrupt:
            if on_event is not None:
                on_event({"phase": "ends early; Ctrl-C again drops what was measured"})
            # The request keeps its number, so that the answer of the work does not count as late.
            self._send(encode(Request(self._last_id, "stop", {})), ANSWER_TIMEOUT_S)
            answer = self._answer(timeout_s, on_event)
            self._answer(ANSWER_TIMEOUT_S, None)
            return answer

    def put(self, source: BinaryIO, sha256: str, size: int, on_bytes: OnBytes | None = None) -> str:
        """Send a file; only what the board does not have of it yet.

        Another host that sends the same file is waited for; then it is there.

        Args:
            source: The file, seekable.
            sha256: Its digest.
            size: Its size in bytes.
            on_bytes: Called as bytes leave.

        Returns:
            The path of the file on the board.

        Raises:
            IntegrityError: The bytes that arrived have another digest.
            BoardDiskError: They do not fit.
            AgentError: Another host has been sending it for `BUSY_TIMEOUT_S`.
        """
        end = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                return self._put(source, sha256, size, on_bytes)
            except AgentError as error:
                if error.code != BUSY or time.monotonic() > end:
                    raise
                time.sleep(_BUSY_EVERY_S)

    def _put(self, source: BinaryIO, sha256: str, size: int, on_bytes: OnBytes | None) -> str:
        state = self.call("offset", {"sha256": sha256, "size": size})
        if state.get("damaged") is True:
            self.damaged.add(sha256)
        with answers_of(self.name):
            path = str(read_value(str, state.get("path"), "path"))
            offset = read_count(state, "offset", size)
        if path:
            return path
        if offset > 0:
            with suppress(IntegrityError):  # what lay there was damaged; the agent removed it
                return self._put_from(offset, source, sha256, size, on_bytes)
        return self._put_from(0, source, sha256, size, on_bytes)

    def _put_from(
        self, offset: int, source: BinaryIO, sha256: str, size: int, on_bytes: OnBytes | None
    ) -> str:
        self._ask("put", {"sha256": sha256, "size": size, "offset": offset})
        source.seek(offset)
        while offset < size:
            chunk = source.read(min(CHUNK_BYTES, size - offset))
            if not chunk:
                self.close()  # the agent waits for bytes that nobody has
                raise TargetError(
                    f"a file became shorter while it was sent to {self.name}",
                    "Try again when nobody writes to it.",
                )
            self._send(chunk, TRANSFER_TIMEOUT_S)
            offset += len(chunk)
            if on_bytes is not None:
                on_bytes(offset, size)
        answer = self._answer(TRANSFER_TIMEOUT_S + size / SLOWEST_DISK, None)
        with answers_of(self.name):
            return str(read_value(str, answer.get("path"), "path"))

    def get(self, sha256: str, most_bytes: int = MOST_FILE_BYTES) -> bytes:
        """Fetch a file from the board.

        Args:
            sha256: Its digest.
            most_bytes: Largest size that the file can have.

        Raises:
            AgentError: The board announces a larger file.
            DeadlineError: It sends the file too slowly.
            IntegrityError: The bytes that arrived have another digest.
        """
        answer = self.call("get", {"sha256": sha256})
        with answers_of(self.name):
            size = read_count(answer, "size", most_bytes)
        content = io.BytesIO()
        deadline = time.monotonic() + TRANSFER_TIMEOUT_S + size / SLOWEST_TRANSFER
        while content.tell() < size:
            wait_s = min(TRANSFER_TIMEOUT_S, deadline - time.monotonic())
            if wait_s <= 0:
                raise self._too_late(TRANSFER_TIMEOUT_S + size / SLOWEST_TRANSFER)
            content.write(self._read(min(CHUNK_BYTES, size - content.tell()), wait_s))
        data = content.getvalue()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise IntegrityError(
                f"a file that {self.name} sent does not have the digest it announced",
                "Check the board's storage, then try again.",
            )
        return data

    def close(self) -> None:
        """End the conversation; the agent exits by itself."""
        self._channel.close()

    def _ask(self, op: str, args: Mapping[str, Any]) -> None:
        self._last_id += 1
        self._has_heard = False
        self._send(encode(Request(self._last_id, op, dict(args))), ANSWER_TIMEOUT_S)

    def _send(self, data: bytes, timeout_s: float) -> None:
        try:
            self._channel.write(data, timeout_s)
        except DeadlineError as error:
            if self._greeting is None:  # it answered before, so no startup file is to blame
                raise DeadlineError(str(error), _HUNG_HINT) from error
            raise
        self.sent_bytes += len(data)

    def _answer(self, timeout_s: float, on_event: OnEvent | None) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        most_silence_s = timeout_s
        while True:
            try:
                line = self._line(deadline, timeout_s, most_silence_s)
                reply = parse_reply(line)
            except NotAMessageError as error:
                if self._greeting is None or len(self._greeting) >= MOST_GREETING_LINES:
                    raise AgentError(WIRE_CODE, f"{self.name}: {error}", _GREETING_HINT) from error
                self._greeting.append(line)
                continue
            except WireError as error:
                hint = _FORM_HINT if self._greeting is None else _GREETING_HINT
                raise AgentError(WIRE_CODE, f"{self.name}: {error}", hint) from error
            self._greeting = None
            if isinstance(reply, Event):
                if ALIVE in reply.event:
                    most_silence_s = ALIVE_TIMEOUT_S
                elif on_event is not None:
                    on_event(reply.event)
            elif reply.id not in (self._last_id, 0):
                continue  # the late answer of a request that was given up
            elif isinstance(reply, Result):
                return reply.result
            else:
                raise _refusal(reply, self.name)

    def _line(self, deadline: float, timeout_s: float, most_silence_s: float) -> bytes:
        if time.monotonic() > deadline:  # also where there is always something more to read
            raise self._too_late(timeout_s)
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_LINE_BYTES:
                raise WireError("an endless line")
            wait_s = max(0.0, deadline - time.monotonic())
            try:
                self._fill(min(wait_s, most_silence_s))
            except DeadlineError as error:
                if self._has_heard and wait_s <= most_silence_s:
                    raise self._too_late(timeout_s) from error
                raise
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def _read(self, size: int, timeout_s: float) -> bytes:
        if not self._buffer:
            self._fill(timeout_s)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _too_late(self, timeout_s: float) -> DeadlineError:
        return DeadlineError(
            f"{self.name} did not answer within {timeout_s:.0f} s, though it says something",
            _HUNG_HINT,
        )

    def _fill(self, timeout_s: float) -> None:
        try:
            data = self._channel.read(CHUNK_BYTES, timeout_s)
        except DeadlineError as error:
            if self._greeting is None:  # it answered before, so no startup file is to blame
                raise DeadlineError(str(error), _HUNG_HINT) from error
            raise
        if not data:
            greeting = b"\n".join([*(self._greeting or []), self._buffer])[-_GREETING_TAIL:]
            last_words = self._channel.last_words() or greeting.decode("utf-8", "replace").strip()
            raise UnreachableError(
                f"the agent on {self.name} ended; its last words: {last_words or 'nothing'}",
                "Try again: what has arrived on the board is kept.",
            )
        self._has_heard = True
        self._buffer += data


def _refusal(fault: Fault, name: str) -> Exception:
    reason = fault.message.strip() or f"it refused without a reason (code {fault.code[:40]!r})"
    message = f"{name}: {reason[:_MOST_MESSAGE]}"
    hint = fault.hint[:_MOST_MESSAGE]
    if fault.code == DIGEST_MISMATCH:
        return IntegrityError(message, hint)
    if fault.code in (NO_SPACE, READ_ONLY, UNSAFE_ROOT):
        return disk_error(name, fault.code, reason[:_MOST_MESSAGE], hint)
    hint = hint or (_FORM_HINT if fault.code in (BAD_REQUEST, NOT_FOUND) else "")
    return AgentError(fault.code, message, hint, fault.traceback[-_MOST_TRACEBACK:])
