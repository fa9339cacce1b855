"""Runs a job in an inference process and names what happened to it.

The process may crash, hang or be killed; the agent may lose its host meanwhile. In every case the
process is ended and the caller gets an answer or a `RefusalError` that says why there is none.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import time
from typing import IO, TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

from device_agent.board.memory_death import MEMORY_GUESS
from device_agent.contract.codes import CHILD_DIED, CHILD_TIMEOUT, INTERNAL, RefusalError
from device_agent.job_fields import IMPORT_PHASE
from device_agent.os_errors import named_os_errors
from device_agent.process_group import end_with_descendants, own_children

if TYPE_CHECKING:
    import subprocess

#: How often the caller may look at the board, and at its host, while a job runs.
TICK_S = 1.0

#: How much of the process's standard error goes into a diagnosis.
_STDERR_TAIL_BYTES = 2000

#: A process that has answered exits within this time, or is killed.
_EXIT_S = 5.0
_EXIT_POLL_S = 0.002

_READ_BYTES = 1 << 16
_LAST_READS = 16

_DIAGNOSES: Dict[int, Tuple[str, str]] = {
    signal.SIGILL: (
        "it used an instruction that this CPU does not have",
        "The runtime was built for a newer CPU: no runtime wheel fits this board.",
    ),
    signal.SIGKILL: (
        "it was killed" + MEMORY_GUESS,
        "Free memory on the board, or use a smaller model.",
    ),
    signal.SIGABRT: (
        "the runtime or a delegate aborted",
        "A delegate of another version is a common cause.",
    ),
    signal.SIGSEGV: (
        "the runtime or a delegate crashed (segmentation fault)",
        "A damaged model, or a delegate that does not fit the runtime, are common causes.",
    ),
    signal.SIGXFSZ: (
        "it wrote a larger file than the login may",
        "Raise the limit on the board (`ulimit -f` shows it).",
    ),
    signal.SIGBUS: (
        "the runtime crashed (bus error)",
        "Check the board's memory and storage.",
    ),
}

#: Words that a process writes before it dies, what happened, and what to do.
_LAST_WORDS = (
    (
        "USB transfer error",  # libedgetpu's fatal log (edgetpu issue 297)
        "the transfer to the Edge TPU over USB broke off",
        "Plug it into a port of its own with enough current (900 mA), without a hub.",
    ),
    (
        "failed to parse both lists of possible and present processors",  # cpuinfo, in onnxruntime
        "ONNX Runtime up to 1.24 reads the CPU from /sys, which is not mounted there",
        "Mount /sys on the board, or use a Python of 3.11 or newer there, which gets a release "
        "that needs no /sys.",
    ),
)

_IMPORT_HINT = (
    "The runtime does not fit this board's CPU or its libraries: choose another `runtime` of this "
    "target in kedge.toml (`kedge target check` lists them)."
)

Event = Callable[[Dict[str, Any]], None]


class HostGoneError(Exception):
    """The host closed the connection while a job ran; the job was ended."""


def run_job(
    command: List[str],
    job: Dict[str, Any],
    timeout_s: float,
    on_event: Event,
    on_tick: Callable[[], None],
) -> Dict[str, Any]:
    """Start the inference process, hand it a job, wait for its answer.

    Args:
        command: Command that starts the process.
        job: One JSON object, handed over on standard input.
        timeout_s: The job must answer within so many seconds.
        on_event: Called with each event of the job.
        on_tick: Called every `TICK_S` while the job runs; may raise to end it.

    Raises:
        RefusalError: The job refused, the process died or gave no answer in time.
    """
    others = own_children()
    with named_os_errors():
        process = _start(command)
    pipes = _Pipes(process, json.dumps(job).encode("ascii") + b"\n")
    phases = [""]

    def note(event: Dict[str, Any]) -> None:
        phases.append(str(event.get("phase", phases[-1])))
        on_event(event)

    try:
        answer = _await_answer(pipes, timeout_s, note, on_tick)
        _let_exit(process, pipes)
        hung = process.poll() is None
    finally:
        end_with_descendants(process, others)
        pipes.close()
    if answer is None:
        raise _diagnose(None if hung else process.returncode, pipes.last_words, phases[-1])
    if "result" in answer:
        return dict(answer["result"])
    trace = pipes.last_words if answer["code"] == INTERNAL else ""
    raise RefusalError(answer["code"], answer["message"], answer.get("hint", ""), trace)


def _start(command: List[str]) -> subprocess.Popen[bytes]:
    import subprocess  # only for an agent that runs jobs; it takes long on a slow board

    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        preexec_fn=_no_core_file,
        start_new_session=True,
    )


def _no_core_file() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _await_answer(
    pipes: _Pipes, timeout_s: float, on_event: Event, on_tick: Callable[[], None]
) -> Optional[Dict[str, Any]]:
    """Return the answer, or `None` when the process closed its output without one."""
    now = time.monotonic()
    deadline, tick = now + timeout_s, now + TICK_S
    while not pipes.ended:
        now = time.monotonic()
        if now >= deadline:
            message = "the inference process gave no answer within {:.0f} s".format(timeout_s)
            hint = "The model may be too large for this board, or the board too busy: try a smaller"
            raise RefusalError(CHILD_TIMEOUT, message, hint + " model.")
        if now >= tick:
            on_tick()
            tick = time.monotonic() + TICK_S
        for line in pipes.exchange(max(0.0, min(deadline, tick) - now)):
            if isinstance(line.get("event"), dict):
                on_event(line["event"])
            elif isinstance(line.get("result"), dict) or isinstance(line.get("code"), str):
                return line
    return None


class _Pipes:
    """The three pipes of a job: read and written as they are ready, none waited for alone."""

    def __init__(self, process: subprocess.Popen[bytes], job: bytes) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self._open = [self._stdout, self._stderr]
        self._unsent = job
        self._line = b""
        self._said = b""
        os.set_blocking(self._stdin.fileno(), False)

    @property
    def ended(self) -> bool:
        """Whether the process closed its output."""
        return self._stdout not in self._open

    @property
    def last_words(self) -> str:
        """The end of what it wrote to standard error."""
        return self._said.decode("utf-8", "replace").strip()

    def exchange(self, timeout_s: float) -> List[Dict[str, Any]]:
        """Wait until something can be sent or read, and do it; return the lines that arrived."""
        writers = [self._stdin] if self._unsent else []
        readable, writable, _ = select.select(self._open, writers, [], timeout_s)
        if writable:
            self._send()
        if self._stderr in readable:
            self._said = (self._said + self._read(self._stderr))[-_STDERR_TAIL_BYTES:]
        if self._stdout not in readable:
            return []
        *lines, self._line = (self._line + self._read(self._stdout)).split(b"\n")
        return [_answer_line(line) for line in lines]

    def close(self) -> None:
        """Take the last words of a process that has ended, and close the pipes."""
        for _ in range(_LAST_READS):  # a process that it left behind may go on talking
            readable, _, _ = select.select([self._stderr], [], [], 0)
            said = os.read(self._stderr.fileno(), _READ_BYTES) if readable else b""
            if not said:
                break
            self._said = (self._said + said)[-_STDERR_TAIL_BYTES:]
        for pipe in (self._stdin, self._stdout, self._stderr):
            pipe.close()

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._stdin.fileno(), self._unsent) :]
        except BrokenPipeError:
            self._unsent = b""  # it died at its start: the missing answer says so
        if not self._unsent:
            self._stdin.close()

    def _read(self, pipe: IO[bytes]) -> bytes:
        data = os.read(pipe.fileno(), _READ_BYTES)
        if not data:
            self._open.remove(pipe)
        return data


def _answer_line(line: bytes) -> Dict[str, Any]:
    try:
        fields = json.loads(line.decode("utf-8"))
        if isinstance(fields, dict):
            return fields
    except (ValueError, RecursionError):
        pass
    message = "the inference process answered with something that is no answer: {!r}"
    hint = "Something on the board writes into the answer of the runtime."
    raise RefusalError(CHILD_DIED, message.format(line[:200]), hint)


def _let_exit(process: subprocess.Popen[bytes], pipes: _Pipes) -> None:
    """Give a process that has answered a moment to exit by itself."""
    end = time.monotonic() + _EXIT_S
    while process.poll() is None and time.monotonic() < end:
        pipes.exchange(_EXIT_POLL_S)


def _diagnose(returncode: Optional[int], last_words: str, phase: str) -> RefusalError:
    hint = ""
    when = " in the phase `{}`".format(phase) if phase else ""
    if returncode is None:
        what = "it closed its output without an answer and did not exit"
    elif returncode < 0:
        default = ("it was ended by signal {}".format(-returncode), "")
        what, hint = _DIAGNOSES.get(-returncode, default)
        if phase == IMPORT_PHASE and returncode != -signal.SIGKILL:
            hint = _IMPORT_HINT
    else:
        what = "it exited with {} and no answer".format(returncode)
    for words, meaning, way_out in _LAST_WORDS:
        if words in last_words:
            what, hint = "{} ({})".format(meaning, what), way_out
    if last_words and returncode == -signal.SIGABRT:
        hint = ("The lines below are its last words. " + hint).strip()
    said = "\n" + last_words if last_words else ""
    message = "the inference process died{}: {}{}".format(when, what, said)
    return RefusalError(CHILD_DIED, message, hint)
