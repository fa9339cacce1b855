"""A benchmark on TensorRT: `trtexec` itself times the inferences, in one process.

A call from this process would time the start of a program. So the loop is NVIDIA's, and the figures
are those of its trace: the time of the kernels, and with the transfers of inputs and outputs.
"""

from __future__ import annotations

import os
import sys
import time
from array import array
from typing import Any, Callable, Dict, List, Tuple

from device_agent.board.conditions import read_conditions
from device_agent.contract.codes import BAD_REQUEST, CHILD_DIED, RefusalError
from device_agent.contract.measurement import LEAST_RUNS
from device_agent.contract.tensors import INTEGER_RANGES
from device_agent.job_fields import Job
from device_agent.runtimes.tensorrt import Driver
from device_agent.runtimes.trtexec_files import QueryTime, read_query_times
from device_agent.timing.random_inputs import fill_inputs
from device_agent.timing.usage import busy_cpu_ns

Say = Callable[[Dict[str, Any]], None]

#: Most samples that are kept.
_MOST_SAMPLES = 1 << 20


def benchmark_engine(job: Job, say: Say) -> Dict[str, Any]:
    """Time an engine in one process of `trtexec`.

    `samples` are the times of the kernels on the GPU, `end_to_end` those with both transfers. The
    trace begins with the first inference; what began before the end of the warm-up does not count.

    Raises:
        RefusalError: TensorRT refuses the model, `trtexec` failed, or the job asks for what it does
            not do: a fixed rate, or a soak.
    """
    if job.period_ns or job.soak:
        what = "a soak" if job.soak else "requests at a fixed rate"
        raise _refuse(what)
    driver = Driver(job, say)
    started = time.perf_counter_ns()
    model = driver.open(job.model, 1)
    model.prepare()
    low, high = job.integers or INTEGER_RANGES[0]
    fill_inputs(driver.numpy, model, job.seed, (low, high))
    prepared = time.perf_counter_ns()
    path = os.path.join(job.folder, "times")
    moments, busy = [_moment("begin")], busy_cpu_ns()
    say({"event": {"phase": "warm-up"}})
    whole_s = job.warmup_s + job.duration_s
    used = model.execute(
        ["--exportTimes=" + path, "--iterations={}".format(2 * LEAST_RUNS),
         *driver.duration(0.0, whole_s)],
        whole_s,
    )  # fmt: skip
    busy = busy_cpu_ns() - busy
    moments.append(_moment("end"))
    queries = read_query_times(path)
    warm, steady = split_warmup(queries, int(job.warmup_s * 1e9))
    wall_ns = steady[-1].start_ns + steady[-1].compute_ns - steady[0].start_ns
    _write(job.samples_path, [query.compute_ns for query in steady])
    _write(job.end_to_end_path, [query.latency_ns for query in steady])
    return {
        "kernel_class": driver.kernel_class,
        "numpy_version": driver.numpy.__version__,
        "threads": 1,
        "import_ns": driver.import_ns,
        "load_ns": prepared - started,
        "allocate_ns": 0,
        "first_invoke_ns": queries[0].latency_ns,
        "warmup_runs": len(warm),
        "warmup_ns": steady[0].start_ns,
        # The cores that the process kept busy, over all of its life.
        "cpu_ns": int(used.cpu_ns * wall_ns / max(1, used.wall_ns)),
        "wall_ns": wall_ns,
        "peak_rss_bytes": used.peak_rss_bytes,
        "others_cores": max(0.0, (busy - used.cpu_ns) / max(1, used.wall_ns)),
        "sample_count": len(steady),
        "end_to_end_count": len(steady),
        "series": {},
        "moments": moments,
        "cores": list(job.cores),
        "placement": None,
    }


def refuse_streams(job: Job, say: Say) -> Dict[str, Any]:
    """Refuse several processes at the same time.

    Raises:
        RefusalError: Always.
    """
    del job, say
    raise _refuse("several processes at the same time")


def split_warmup(
    queries: List[QueryTime], warmup_ns: int
) -> Tuple[List[QueryTime], List[QueryTime]]:
    """Divide a trace into warm-up and the timed part.

    Args:
        queries: All inferences, in the order of time.
        warmup_ns: Length of the warm-up; a slow model has a shorter one, so that enough is left.

    Returns:
        Inferences of the warm-up, and those that count.

    Raises:
        RefusalError: There are too few in all.
    """
    if len(queries) <= LEAST_RUNS:
        message = "trtexec timed {} inferences, at least {} are needed"
        raise RefusalError(CHILD_DIED, message.format(len(queries), LEAST_RUNS + 1), "")
    first = sum(query.start_ns < warmup_ns for query in queries)
    first = max(1, min(first, len(queries) - LEAST_RUNS))
    return queries[:first], queries[first : first + _MOST_SAMPLES]


def _moment(name: str) -> Dict[str, Any]:
    return dict(read_conditions(moment=name, ask_firmware=False)._asdict())


def _write(path: str, values: List[int]) -> None:
    samples = array("Q", values)
    if sys.byteorder == "big":
        samples.byteswap()
    with open(path, "wb") as file:
        samples.tofile(file)


def _refuse(what: str) -> RefusalError:
    message = "TensorRT is measured by trtexec, which does not do {}".format(what)
    hint = "Measure back to back, in one process at a time: leave out --rate, --soak and --streams."
    return RefusalError(BAD_REQUEST, message, hint)
