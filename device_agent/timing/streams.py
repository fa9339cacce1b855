"""Several inference processes at once: each loads the model, and all are timed together."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple, NoReturn, Tuple

from device_agent.contract.codes import CHILD_DIED, INTERNAL, RefusalError
from device_agent.job_fields import Job
from device_agent.timing.usage import busy_cpu_ns

Gate = Callable[[], None]
"""Function that a process calls when it is ready to be timed; it returns when all are."""

Benchmark = Callable[[Job, Gate], Dict[str, Any]]
"""Function that loads and times a model in the process that calls it."""


class _Stream(NamedTuple):
    """One inference process."""

    pid: int
    result: str
    """Path of the file that it writes its result to."""


def time_streams(job: Job, benchmark: Benchmark) -> List[Dict[str, Any]]:
    """Run a benchmark in `job.streams` processes, whose timed loops begin together.

    Args:
        job: Job of each process; each writes into a folder of its own below the folder of the job.
        benchmark: Function that each process calls. It passes the gate before its timed loop.

    Returns:
        Result of each process, as `benchmark` returns it; `others_cores` leaves the other processes
        of the job out.

    Raises:
        RefusalError: A process refused the job or died; the others are ended.
    """
    running: List[_Stream] = []
    try:
        with _Start() as start:
            for number in range(job.streams):
                running.append(_fork(job, number, benchmark, start))
            start.wait_until_ready()
            began, busy = time.perf_counter_ns(), busy_cpu_ns()
        results = []
        while running:
            os.waitpid(running[0].pid, 0)
            results.append(_result_of(running.pop(0)))
        busy, window = busy_cpu_ns() - busy, time.perf_counter_ns() - began
    finally:
        for stream in running:
            os.kill(stream.pid, signal.SIGKILL)
            os.waitpid(stream.pid, 0)
    own_cpu = sum(int(result.pop("process_cpu_ns")) for result in results)
    others = max(0.0, (busy - own_cpu) / window)
    return [dict(result, others_cores=others) for result in results]


class _Start:
    """The common start: pipes, whose ends say who is ready and that all may go."""

    def __init__(self) -> None:
        self._ready: List[int] = []
        self._go, self._let_go = os.pipe()

    def __enter__(self) -> _Start:
        return self

    def __exit__(self, *_: object) -> None:
        """Let all processes go: what they wait for is the end of the pipe."""
        for descriptor in (*self._ready, self._go, self._let_go):
            os.close(descriptor)

    def fork(self) -> Tuple[int, Callable[[], None]]:
        """Fork; return the number of the process, 0 in the new one, and its gate."""
        ready, is_ready = os.pipe()
        pid = os.fork()
        if pid:
            os.close(is_ready)
            self._ready.append(ready)
        else:
            os.close(self._let_go)

        def gate() -> None:
            os.write(is_ready, b"r")
            os.read(self._go, 1)

        return pid, gate

    def wait_until_ready(self) -> None:
        """Return when all processes are ready, or when one of them has ended before."""
        for ready in self._ready:
            if not os.read(ready, 1):
                return


def _fork(job: Job, number: int, benchmark: Benchmark, start: _Start) -> _Stream:
    folder = os.path.join(job.folder, str(number))
    os.mkdir(folder)
    result = os.path.join(folder, "result")
    pid, gate = start.fork()
    if pid == 0:
        _work(job._replace(folder=folder), result, benchmark, gate)
    return _Stream(pid, result)


def _work(job: Job, path: str, benchmark: Benchmark, pass_gate: Gate) -> NoReturn:
    """Run the benchmark in this process, write its result, and end the process."""
    answer: Dict[str, Any]
    cpu_ns: List[int] = []

    def gate() -> None:
        pass_gate()
        cpu_ns.append(time.process_time_ns())

    try:
        result = benchmark(job, gate)
        answer = dict(result, process_cpu_ns=time.process_time_ns() - cpu_ns[0])
    except RefusalError as refusal:
        answer = {"code": refusal.code, "message": str(refusal), "hint": refusal.hint}
    except BaseException as error:  # nothing may return into the code of the parent
        answer = {"code": INTERNAL, "message": "{}: {}".format(type(error).__name__, error)}
    with open(path, "w", encoding="ascii") as file:
        json.dump(answer, file)
    sys.stderr.flush()
    os._exit(0)


def _result_of(stream: _Stream) -> Dict[str, Any]:
    """Read the result of a process that has ended.

    Raises:
        RefusalError: It refused the job, or died without a result.
    """
    try:
        with open(stream.result, encoding="ascii") as file:
            result: Dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        message = "one of the inference processes died"
        hint = "Free memory on the board, or run fewer at the same time."
        raise RefusalError(CHILD_DIED, message, hint) from None
    if "code" in result:
        raise RefusalError(result["code"], result["message"], result.get("hint", ""))
    return result
