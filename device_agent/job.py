"""The inference process: one job on its standard input, one answer on its standard output.

It is a process of its own because a runtime may abort, crash or be killed; the agent that started
it then tells why. A job ends the process.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
from typing import Any, Callable, Dict

from device_agent.contract.codes import CHILD_DIED, INTERNAL, RUNTIME_IMPORT, RefusalError
from device_agent.contract.measurement import to_json
from device_agent.contract.runtimes import TENSORRT, distribution_of
from device_agent.job_fields import Job, job_from_json
from device_agent.os_errors import named_os_errors
from device_agent.runtimes.driver import (
    import_driver,
    is_fault_of_runtime,
    name_runtime_errors,
    run_once,
)
from device_agent.timing.random_inputs import fill_and_run
from device_agent.timing.steady import no_gate, steady_phase
from device_agent.timing.usage import peak_rss_bytes, rss_bytes
from device_agent.timing.whole_inference import whole_inference

_PR_SET_PDEATHSIG = 1

_MOST_SAID = 2000
_RUNTIME_HINT = (
    "The runtime is damaged, or another program than its name says: choose another `runtime` of "
    "this target in kedge.toml (`kedge target check` lists them), or get its wheels again."
)

Say = Callable[[Dict[str, Any]], None]


def main() -> int:
    """Read one job, do it, answer; return the exit code."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints must not corrupt the answer

    def say(answer: Dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    _end_with_the_agent()
    delegate = ""
    try:
        job = job_from_json(json.loads(sys.stdin.readline()))
        delegate = job.delegate
        with named_os_errors():
            say({"result": _function_of(job)(job, say)})
    except RefusalError as fault:
        say({"code": fault.code, "message": str(fault), "hint": fault.hint})
    except MemoryError:
        message = "the inference process ran out of memory"
        say({"code": CHILD_DIED, "message": message, "hint": "Use a smaller model, or fewer data."})
    except Exception as error:
        if is_fault_of_runtime(error):
            what = "the runtime fails on this board: {}: {}".format(type(error).__name__, error)
            say({"code": RUNTIME_IMPORT, "message": what[:_MOST_SAID], "hint": _RUNTIME_HINT})
            return 0
        say({"code": INTERNAL, "message": "{}: {}".format(type(error).__name__, error)})
        raise
    if not delegate:
        _exit_at_once()
    return 0


def _exit_at_once() -> None:
    """End the process without taking numpy and the runtime down, which takes 20 ms and more.

    A delegate is taken down: it may hold a device.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def _end_with_the_agent() -> None:
    """Let the kernel end this process when the agent is killed and cannot do it any more."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes  # some boards have a Python without it; numpy loads it anyway

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _describe(job: Job, say: Say) -> Dict[str, Any]:
    driver = import_driver(job, say)
    driver.prepare_delegate()
    return {"kernel_class": driver.kernel_class, "numpy": driver.numpy.__version__}


def _benchmark(job: Job, say: Say, gate: Callable[[], None] = no_gate) -> Dict[str, Any]:
    driver = import_driver(job, say)
    before_load = rss_bytes()
    started = time.perf_counter_ns()
    model = driver.open(job.model, job.threads)
    loaded = time.perf_counter_ns()
    model.prepare()
    prepared = time.perf_counter_ns()
    say({"event": {"phase": "first inference"}})
    first_ns = []

    def run_first() -> None:
        began = time.perf_counter_ns()
        run_once(model)
        first_ns.append(time.perf_counter_ns() - began)

    plain = fill_and_run(driver.numpy, model, job.seed, job.integers, run_first)
    load_peak = peak_rss_bytes()
    with name_runtime_errors():
        whole = whole_inference(driver.numpy, model, job.seed, plain)
        steady = steady_phase(job, say, model.run, whole, gate)
    placement = model.placement()
    return {
        "kernel_class": driver.kernel_class,
        "numpy_version": driver.numpy.__version__,
        "threads": job.threads,
        "import_ns": driver.import_ns,
        "load_ns": loaded - started,
        "allocate_ns": prepared - loaded,
        "first_invoke_ns": first_ns[0],
        "before_load_rss_bytes": before_load,
        "load_peak_rss_bytes": load_peak,
        "cores": list(job.cores),
        "placement": None if placement is None else to_json(placement),
        **steady,
    }


def _streams(job: Job, say: Say) -> Dict[str, Any]:
    from device_agent.timing.streams import time_streams  # compiled only where it is needed

    def benchmark(own: Job, gate: Callable[[], None]) -> Dict[str, Any]:
        _end_with_the_agent()  # a forked process has not inherited it
        return _benchmark(own, lambda _: None, gate)

    say({"event": {"phase": "{} processes at the same time".format(job.streams)}})
    return {"streams": time_streams(job, benchmark)}


def _function_of(job: Job) -> Callable[[Job, Say], Dict[str, Any]]:
    """Return the function of a job; only its module is compiled, on boards that are slow.

    Raises:
        KeyError: There is no such kind of job.
    """
    kind, own = job.kind, (distribution_of(job.runtime), job.kind)
    if own in _OWN_JOBS:
        return _function_in(*_OWN_JOBS[own])
    if kind == "describe":
        return _describe
    if kind == "benchmark":
        return _benchmark
    if kind == "streams":
        return _streams
    return _function_in(*_JOBS[kind])


def _function_in(module: str, name: str) -> Callable[[Job, Say], Dict[str, Any]]:
    function: Callable[[Job, Say], Dict[str, Any]] = getattr(importlib.import_module(module), name)
    return function


#: Kind of job to the module and function that do it.
_JOBS = {
    "infer": ("device_agent.samples.inference", "infer_samples"),
    "run": ("device_agent.samples.sample_run", "run_samples"),
    "profile": ("device_agent.runtimes.profile", "profile_model"),
}

#: Runtime and kind of job to the module and function, where a runtime does it in its own way.
_OWN_JOBS = {
    (TENSORRT, "benchmark"): ("device_agent.timing.engine_benchmark", "benchmark_engine"),
    (TENSORRT, "streams"): ("device_agent.timing.engine_benchmark", "refuse_streams"),
}
