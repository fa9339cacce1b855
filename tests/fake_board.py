"""Boards in memory: the real session and the real store of the agent, without a process or a link.

A `FakeBoard` stands beside the real boards of `tests.boards`, for what they cannot do: a thousand
at once, and faults at a certain moment. It answers when it is written to, in the same thread, so an
idle board holds no thread and no file descriptor. Models are not run: `run_job` decides.
"""

import errno
import hashlib
import json
import os
import random
import shutil
from array import array
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from device_agent.__main__ import answer_line, board_facts
from device_agent.board.conditions import read_conditions
from device_agent.contract.codes import RefusalError
from device_agent.contract.wire import VERSION, Request, encode, parse_request
from device_agent.job_fields import Job
from device_agent.operations.call import BoardAccess, RunJob
from device_agent.session import AgentSession
from device_agent.store.receive import StreamLostError
from device_agent.store.store import Store
from targets.agent_archive import agent_archive
from targets.inventory import Target
from targets.probe_script import COMMAND
from targets.transport import CommandResult, DeadlineError, UnreachableError

_KERNEL_CLASS = {"machine": "aarch64", "runtime": "ai-edge-litert", "version": "2.3.0"}


@dataclass
class Faults:
    """What is wrong with a board; nothing, unless a field says so. May change at any time."""

    delay_s: float = 0.0
    """Seconds, on a clock of its own, until each answer of a slow board."""
    lies: bool = False
    """Whether the first bit of every file that it sends is wrong."""
    free_bytes: int | None = None
    """Number of raw bytes that the disk still takes; `None` for more than anybody sends."""
    cut_after_bytes: int | None = None
    """Number of bytes that the host can send over one link before it is cut."""
    dies_at: str = ""
    """Operation at which the agent ends without an answer."""
    answers: Mapping[str, Any] = field(default_factory=dict)
    """Results by operation, in place of the agent's: JSON values, or lines as bytes."""


def simulated_job(seed: int, median_us: float = 1000.0) -> RunJob:
    """Return what stands where the agent starts processes: plausible times, always the same.

    Args:
        seed: Of the samples.
        median_us: Of the simulated latency; samples are log-normal, with a spread of 2 %.
    """
    source = random.Random(seed)

    def write(path: str, count: int, median: float) -> int:
        samples = array("Q", (int(source.lognormvariate(0, 0.02) * median) for _ in range(count)))
        Path(path).write_bytes(samples.tobytes())
        return sum(samples)

    def run(job: Job, _: float, __: object, tick: Callable[[], None]) -> dict[str, Any]:
        kernel_class = {**_KERNEL_CLASS, "runtime": job.runtime}
        if job.kind == "describe":
            return {"kernel_class": kernel_class, "numpy": "2.0.0"}
        assert job.kind == "benchmark", "give the board a `run_job` that knows outputs"
        tick()
        median_ns = median_us * 1e3
        count = max(10, int(job.duration_s * 1e9 / median_ns))
        wall_ns = write(job.samples_path, count, median_ns)
        write(job.end_to_end_path, max(5, count // 4), median_ns * 1.1)
        times = {"import_ns": 10**8, "load_ns": 10**6, "allocate_ns": 10**6}
        return {
            "kernel_class": kernel_class,
            "numpy_version": "2.0.0",
            "threads": job.threads,
            **times,
            "first_invoke_ns": int(2 * median_ns),
            "warmup_runs": 10,
            "warmup_ns": int(10 * median_ns),
            "cpu_ns": wall_ns,
            "wall_ns": wall_ns,
            "peak_rss_bytes": 50 << 20,
            "load_peak_rss_bytes": 45 << 20,
            "before_load_rss_bytes": 40 << 20,
            "sample_count": count,
            "end_to_end_count": max(5, count // 4),
            "cores": list(job.cores),
            "series": {},
        }

    return run


class FakeBoard:
    """One board: a folder, its faults, and what runs its jobs. A `Transport` comes from `connect`.

    `clock_s` is the time that a slow board took until now; nobody waits for it. The agent that was
    sent is known by its digest alone.
    """

    def __init__(
        self,
        root: Path,
        faults: Faults | None = None,
        run_job: RunJob | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.root = root
        self.faults = faults or Faults()
        self.run_job = run_job
        self.facts = facts
        self.clock_s = 0.0
        self.agent_sha256 = ""

    def connect(self) -> "FakeTransport":
        """Open a link."""
        return FakeTransport(self)

    def wait(self, timeout_s: float) -> None:
        """Let the time of one answer pass."""
        self.clock_s += min(self.faults.delay_s, timeout_s)
        if self.faults.delay_s > timeout_s:
            raise DeadlineError(f"the board was silent for {timeout_s:.0f} s")

    def access(self) -> BoardAccess:
        """What the session of one link may touch."""
        return BoardAccess(
            Store(str(self.root)),
            self.run_job or simulated_job(seed=0),
            lambda: dict(self.facts) if self.facts is not None else board_facts(),
            lambda: read_conditions(ask_firmware=False),
            self.agent_sha256,
        )


class FakeTransport:
    """The way to a fake board: it knows the scripts of kedge, and no shell."""

    def __init__(self, board: FakeBoard) -> None:
        self._board = board
        self.links: list[FakeChannel] = []

    def run(self, command: str, stdin: bytes, timeout_s: float) -> CommandResult:
        """Do what a script of kedge does: look, take the agent, or remove all."""
        self._board.wait(timeout_s)
        root = self._board.root
        if command != COMMAND:
            return self._take_agent(stdin)
        if b"rmdir agent store" in stdin:
            shutil.rmtree(root, ignore_errors=True)
            self._board.agent_sha256 = ""
            return CommandResult(0, b"", b"")
        return CommandResult(0, self._look(), b"")

    def open(self, command: str) -> "FakeChannel":
        """Start the agent."""
        assert " serve " in command
        self.links.append(FakeChannel(self._board))
        return self.links[-1]

    def close(self) -> None:
        """End what is still open."""
        for link in self.links:
            link.close()

    def __enter__(self) -> "FakeTransport":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _take_agent(self, content: bytes) -> CommandResult:
        free = self._board.faults.free_bytes
        if free is not None and len(content) > free:
            return CommandResult(1, b"", b"cat: write error: No space left on device")
        self._board.agent_sha256 = hashlib.sha256(content).hexdigest()
        return CommandResult(0, b"", b"")

    def _look(self) -> bytes:
        board = self._board
        facts = dict(board.facts) if board.facts is not None else board_facts()
        version = ".".join(str(facts["python"]).split(".")[:2])
        installed = json.dumps(facts.get("installed", {}))
        has_agent = board.agent_sha256 == agent_archive().sha256
        free = board.faults.free_bytes
        lines = [
            *("", f"root={board.root}", f"machine={facts['machine']}", "writable=yes"),
            *("size_kib=1000000", f"free_kib={1000000 if free is None else free // 1024}"),
            f"python={version} {facts['python_executable']}",
            *(["agent=yes"] if has_agent else []),
            f"installed={installed}",
            f"runtimes={json.dumps(facts.get('board_runtimes', []))}",
            *(f"facts={json.dumps(facts)}", "end=yes", ""),
        ]
        return "\n".join(lines).encode()


class FakeChannel:
    """The stdio of one session. A request is answered as soon as all of it has been written."""

    def __init__(self, board: FakeBoard) -> None:
        self._board = board
        self._access = board.access()
        self._session = AgentSession(self._access)
        self._host = _HostInMemory(board.faults)
        self._written = 0
        self._has_ended = False

    def write(self, data: bytes, timeout_s: float) -> None:
        """Take bytes of the host; see `Channel.write`."""
        if self._has_ended:
            raise UnreachableError("the agent ended")
        limit = self._board.faults.cut_after_bytes
        rest = len(data) if limit is None else max(0, limit - self._written)
        self._host.arrived += data[:rest]
        self._written += len(data)
        if rest < len(data):
            self.close()
            raise UnreachableError("the link to the board was cut")
        while not self._has_ended and self._host.has_request():
            self._answer()

    def read(self, size: int, timeout_s: float) -> bytes:
        """Return what the agent wrote; see `Channel.read`."""
        if not self._host.answers and not self._has_ended:
            raise DeadlineError("the board has nothing to say", "Try again.")
        self._board.wait(timeout_s)
        data = bytes(self._host.answers[:size])
        del self._host.answers[:size]
        return data

    def last_words(self) -> str:
        """Return nothing: an agent in memory has no standard error."""
        return ""

    def close(self) -> None:
        """End the session as a cut link does: a file that came in part stays in part."""
        if not self._has_ended and b"\n" in self._host.arrived:
            with suppress(StreamLostError):
                self._answer()
        self._end()

    def _answer(self) -> None:
        line = self._host.take_line()
        faults = self._board.faults
        request = _request(line)
        if request is not None and request.op == faults.dies_at:
            self._end()
            return
        if request is not None and request.op in faults.answers:
            self._host.write(_false_answer(request, faults.answers[request.op]))
            return
        answer_line(self._session, cast("Any", self._host), line)

    def _end(self) -> None:
        reservation = self._access.store.reservation
        if not self._has_ended and reservation.is_held:
            assert reservation._lock is not None
            os.close(reservation._lock)  # as the end of the agent's process does
        self._has_ended = True


class _HostInMemory:
    """What `device_agent.__main__` needs of the other end of stdio."""

    def __init__(self, faults: Faults) -> None:
        self.arrived = bytearray()
        self.answers = bytearray()
        self._faults = faults
        self._said_full = False

    def has_request(self) -> bool:
        """Whether a line has arrived, and all raw bytes that it announces."""
        line, end, rest = self.arrived.partition(b"\n")
        return bool(end) and len(rest) >= _raw_bytes(bytes(line))

    def take_line(self) -> bytes:
        line, _, self.arrived = self.arrived.partition(b"\n")
        self._said_full = False
        return bytes(line)

    def read(self, size: int) -> bytes:
        free = self._faults.free_bytes
        data = bytes(self.arrived[:size])
        if free is not None and not self._said_full:
            if len(data) > free:
                self._said_full = True  # what else was announced is read, and not kept
                raise OSError(errno.ENOSPC, "No space left on device")
            self._faults.free_bytes = free - len(data)
        del self.arrived[:size]
        return data

    def send(self, message: Any) -> None:
        self.write(encode(message))

    def write(self, data: bytes) -> None:
        self.answers += data

    def send_file(self, path: str) -> None:
        content = bytearray(Path(path).read_bytes())
        if self._faults.lies and content:
            content[0] ^= 1
        self.write(bytes(content))


def connect_to(boards: Mapping[str, FakeBoard]) -> Callable[[Target], FakeTransport]:
    """Stand where `targets.provision.connect` does, for targets by their name."""
    return lambda target: boards[target.name].connect()


def _false_answer(request: Request, result: Any) -> bytes:
    if isinstance(result, bytes):
        return result + b"\n"
    fields = {"v": VERSION, "id": request.id, "result": result}
    return json.dumps(fields).encode() + b"\n"


def _request(line: bytes) -> Request | None:
    try:
        return parse_request(line)
    except RefusalError:
        return None


def _raw_bytes(line: bytes) -> int:
    """Number of raw bytes that a request announces."""
    request = _request(line)
    if request is None or request.op != "put":
        return 0
    return max(0, int(request.args["size"]) - int(request.args["offset"]))
