"""One process of `trtexec`: bounded in time, in what it says and in what it writes."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import time
from typing import Dict, List, NamedTuple, Sequence, Tuple

from device_agent.contract.codes import CHILD_DIED, CHILD_TIMEOUT, RefusalError
from device_agent.runtimes.trtexec_faults import explain_trtexec, is_stale, last_errors

#: Number of bytes of its output that are kept, of the begin and of the end.
_HEAD_BYTES = 8 << 10
_TAIL_BYTES = 64 << 10

_POLL_S = 0.05
_READ_BYTES = 1 << 16
_PR_SET_PDEATHSIG = 1

_DEATHS: Dict[int, Tuple[str, str]] = {
    signal.SIGKILL: (
        "it was killed, most likely because the board ran out of memory",
        "Free memory on the board: the GPU of a Jetson shares it. Or use a smaller model.",
    ),
    signal.SIGXFSZ: (
        "it wrote a larger file than kedge lets it write",
        "Measure for a shorter time, or give the model smaller outputs.",
    ),
    signal.SIGSEGV: (
        "it crashed (segmentation fault)",
        "The lines below are its last words. A plugin or a driver of another version is a common "
        "cause.",
    ),
    signal.SIGABRT: ("it aborted", "The lines below are its last words."),
    signal.SIGILL: (
        "it used an instruction that the CPU does not have",
        "This build of TensorRT is for another CPU: install the one of the board's JetPack.",
    ),
}


class ProcessUse(NamedTuple):
    """What a process said and used."""

    text: str
    """Begin and end of its output."""
    peak_rss_bytes: int
    """Largest resident memory."""
    cpu_ns: int
    """CPU time of all its threads."""
    wall_ns: int
    """Time from its start to its end."""


class StaleEngineError(Exception):
    """The engine was built for another TensorRT or GPU: it has to be built anew."""


def run_trtexec(
    program: str, arguments: Sequence[str], folder: str, timeout_s: float, most_bytes: int
) -> ProcessUse:
    """Run `trtexec` to its end.

    Args:
        program: Its path.
        arguments: Its options.
        folder: Folder that it runs in; what it writes lies below.
        timeout_s: Longest time until its end.
        most_bytes: Largest file that it may write.

    Raises:
        StaleEngineError: It refused an engine of another TensorRT or GPU.
        RefusalError: It does not start, failed, died or did not end in time.
    """
    began = time.monotonic()
    process = _start(program, arguments, folder, most_bytes)
    assert process.stdout is not None
    head, tail = b"", b""
    try:
        code = None
        while code is None:
            if time.monotonic() - began > timeout_s:
                raise _too_slow(timeout_s, head + tail)
            readable, _, _ = select.select([process.stdout], [], [], _POLL_S)
            said = os.read(process.stdout.fileno(), _READ_BYTES) if readable else b""
            if readable and not said:
                time.sleep(_POLL_S / 10)  # its output is closed, and it has not ended yet
            if len(head) < _HEAD_BYTES:
                head, said = (head + said)[:_HEAD_BYTES], (head + said)[_HEAD_BYTES:]
            tail = (tail + said)[-_TAIL_BYTES:]
            if not said:
                pid, status, used = os.wait4(process.pid, os.WNOHANG)
                code = _exit_code(status) if pid else None
        process.returncode = code
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()
        process.stdout.close()
    text = (head + tail).decode("utf-8", "replace")
    if code != 0 or "&&&& FAILED" in text:
        raise _failure(code, text)
    wall_ns = int((time.monotonic() - began) * 1e9)
    cpu_ns = int((used.ru_utime + used.ru_stime) * 1e9)
    return ProcessUse(text, used.ru_maxrss * 1024, cpu_ns, wall_ns)


def _start(
    program: str, arguments: Sequence[str], folder: str, most_bytes: int
) -> subprocess.Popen[bytes]:
    def limit() -> None:
        for kind, value in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, most_bytes)):
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (value, hard))
        _end_with_this_process()

    try:
        return subprocess.Popen(
            [program, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            preexec_fn=limit,
        )
    except OSError as error:
        message = "{} does not start: {}".format(program, error.strerror or error)
        hint = "Is it a program for this board, and may the user run it?"
        raise RefusalError(CHILD_DIED, message, hint) from error


def _end_with_this_process() -> None:
    """Let the kernel end it when the inference process is killed."""
    try:
        import ctypes  # some boards have a Python without it

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass


def _exit_code(status: int) -> int:
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _too_slow(timeout_s: float, said: bytes) -> RefusalError:
    words = last_errors(said.decode("utf-8", "replace"))
    message = "trtexec did not end within {:.0f} s".format(timeout_s)
    hint = "Is the board busy, or the model too large for it? Its last words are above."
    return RefusalError(CHILD_TIMEOUT, message + ("\n" + words if words else ""), hint)


def _failure(code: int, text: str) -> Exception:
    if is_stale(text):
        return StaleEngineError(last_errors(text))
    complaint = explain_trtexec(text)
    what, hint = complaint.meaning, complaint.hint
    if not what:
        ending = "it failed with the exit code {}".format(code)
        what, hint = _DEATHS.get(-code, (ending, "The lines below are its last words."))
    words: List[str] = [word for word in (last_errors(text),) if word]
    return RefusalError(complaint.code, "\n".join(["trtexec: " + what, *words]), hint)
