"""The steady phase of a benchmark: warm-up, the timed loop, whole inferences, sample files."""

from __future__ import annotations

import os
import sys
import time
from array import array
from typing import Any, Callable, Dict, List, Tuple

from device_agent.board.conditions import read_conditions
from device_agent.job_fields import Job
from device_agent.timing.benchmark import Call, Mark, Timing, time_calls
from device_agent.timing.paced import PacedTiming, time_paced
from device_agent.timing.soak import SoakTiming, time_soak
from device_agent.timing.stop_file import STOP
from device_agent.timing.usage import busy_cpu_ns, peak_rss_bytes, reset_peak

#: How long the end-to-end phase lasts, as a share of the steady one, and at most. All is warm by
#: then but the application's own steps.
_WHOLE_SHARE = 0.05
_WHOLE_WARMUP_S = 0.01
_WHOLE_LONGEST_S = 15.0
_WHOLE_LEAST_RUNS = 5

Say = Callable[[Dict[str, Any]], None]


def no_gate() -> None:
    """Begin at once."""


def steady_phase(
    job: Job, say: Say, invoke: Call, whole: Call, gate: Callable[[], None] = no_gate
) -> Dict[str, Any]:
    """Time `invoke` as the job asks, then whole inferences; write the samples into files.

    Args:
        job: The job, with `warmup_s`, `duration_s`, `period_ns`, `soak` and `folder`.
        say: Tells the host.
        invoke: One inference.
        whole: One inference as an application makes it.
        gate: Function that is called right before the timed loop.

    Returns:
        Fields of `ProcessRun`; `series` by path, and `moments`: the conditions around the loop.
    """
    moments = []

    def mark(moment: str) -> None:
        moments.append(dict(read_conditions(moment=moment, ask_firmware=False)._asdict()))
        if moment == "begin":
            gate()

    reset_peak()
    say({"event": {"phase": "warm-up"}})
    busy, own, began = busy_cpu_ns(), time.process_time_ns(), time.perf_counter_ns()
    timing = _timing(job, say, invoke, mark)
    others = (busy_cpu_ns() - busy) - (time.process_time_ns() - own)
    window = time.perf_counter_ns() - began
    peak = peak_rss_bytes()
    end_to_end = time_calls(
        whole,
        _WHOLE_WARMUP_S,
        # Of the time that it took, not of what was asked: a soak may have been ended early.
        min(_WHOLE_LONGEST_S, timing.wall_ns / 1e9 * _WHOLE_SHARE),
        least_runs=_WHOLE_LEAST_RUNS,
    )
    _write(job.samples_path, timing.samples_ns)
    _write(job.end_to_end_path, end_to_end.samples_ns)
    more, series = _particulars(job, timing)
    return {
        "warmup_runs": timing.warmup_runs,
        "warmup_ns": timing.warmup_ns,
        "cpu_ns": timing.cpu_ns,
        "wall_ns": timing.wall_ns,
        "peak_rss_bytes": peak,
        "others_cores": max(0.0, others / window),
        "sample_count": len(timing.samples_ns),
        "end_to_end_count": len(end_to_end.samples_ns),
        "series": _written(job.folder, series),
        "moments": moments,
        **more,
    }


def _timing(job: Job, say: Say, invoke: Call, mark: Mark) -> Timing:
    warmup_s, duration_s = job.warmup_s, job.duration_s
    if job.period_ns:
        return time_paced(invoke, warmup_s, duration_s, job.period_ns, mark)
    if job.soak:

        def tell(done_s: float, all_s: float) -> bool:
            say({"event": {"phase": "soak", "done": int(done_s), "total": int(all_s)}})
            return not os.path.exists(os.path.join(job.folder, STOP))

        return time_soak(invoke, warmup_s, duration_s, tell, mark)
    return time_calls(invoke, warmup_s, duration_s, mark)


def _particulars(job: Job, timing: Timing) -> Tuple[Dict[str, int], List[Tuple[str, "array[int]"]]]:
    if isinstance(timing, PacedTiming):
        fields = {"period_ns": job.period_ns, "requests": timing.requests}
        return fields, [("responses", timing.responses_ns)]
    if isinstance(timing, SoakTiming):
        return {"runs": timing.runs}, [("starts", timing.starts_ns), ("memory", timing.memory)]
    return {}, []


def _written(folder: str, series: List[Tuple[str, "array[int]"]]) -> Dict[str, str]:
    paths = {}
    for name, values in series:
        paths[name] = os.path.join(folder, name)
        _write(paths[name], values)
    return paths


def _write(path: str, values: "array[int]") -> None:
    if sys.byteorder == "big":
        values.byteswap()
    with open(path, "wb") as file:
        values.tofile(file)
