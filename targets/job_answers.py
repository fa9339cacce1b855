"""Answers of jobs as a board sends them: checked in form, and bounded by what was requested."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from device_agent.contract.conditions import Conditions, conditions_from_json
from device_agent.contract.measurement import ProcessRun, process_run_from_json
from device_agent.contract.op_times import OpTimes, op_times_from_json
from device_agent.contract.packed import unpack_times
from device_agent.contract.records import RecordError, parse_json, read_record, read_value

if TYPE_CHECKING:
    import numpy as np

#: Largest number of samples of a process; an agent has places for half as many.
MOST_SAMPLES = 1 << 21

#: Largest number of series of a process beside its samples.
MOST_SERIES = 8

#: Longest time of anything that a process measures: a day, which is the longest job.
LONGEST_NS = 86_400 * 10**9

#: Largest memory of a process, in bytes, and largest number of cores that others keep busy.
_MOST_MEMORY_BYTES = 1 << 50
_MOST_CORES = 4096

#: Largest number of operators of a model.
_MOST_OPS = 1 << 24

#: Largest size of the conditions of a run; an agent keeps 1024, each of some KiB.
MOST_CONDITIONS_BYTES = 64 << 20

_TIME_BYTES = 8

#: Size of a value of each type of number that a runtime has.
_VALUE_BYTES = {
    "bool": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "float16": 2,
    "int32": 4,
    "uint32": 4,
    "float32": 4,
    "int64": 8,
    "uint64": 8,
    "float64": 8,
    "complex64": 8,
    "complex128": 16,
}


@dataclass(frozen=True)
class TensorFile:
    """File on the board that holds the values of one output for all samples."""

    name: str
    dtype: str
    shape: list[int]
    sha256: str

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return prod(self.shape) * _VALUE_BYTES[self.dtype]


def read_run(plain: Any) -> ProcessRun:
    """Read what a process of a benchmark reported.

    Raises:
        RecordError: It has another form; the board is broken, or no agent of kedge.
    """
    run = process_run_from_json(plain)
    if not 0 < run.sample_count <= MOST_SAMPLES or not 0 <= run.end_to_end_count <= MOST_SAMPLES:
        raise RecordError(f"expected 1 to {MOST_SAMPLES} samples, found {run.sample_count}")
    if run.wall_ns <= 0 or run.threads <= 0 or len(run.series) > MOST_SERIES:
        raise RecordError("a run of no time or no thread, or with too many series")
    _check_figures(run)
    return run


def _check_figures(run: ProcessRun) -> None:
    """Refuse figures that no process can have, such as times below 0 or of years."""
    limits = {"_ns": LONGEST_NS, "_bytes": _MOST_MEMORY_BYTES, "others_cores": _MOST_CORES}
    for name, value in vars(run).items():
        most = next((limits[end] for end in limits if name.endswith(end)), None)
        if most is not None and not 0 <= value <= most:
            raise RecordError(f"{name}: expected 0 to {most}, found {value}")
    executors = run.placement.ops.values() if run.placement else ()
    counts = [count for operators in executors for count in operators.values()]
    if any(not 0 < count <= _MOST_OPS for count in counts):
        raise RecordError(f"operators of an executor: expected 1 to {_MOST_OPS}")


def read_op_times(plain: Any) -> OpTimes:
    """Read the times of the operators of a model.

    Raises:
        RecordError: It has another form; the board is broken, or no agent of kedge.
    """
    profile = op_times_from_json(plain)
    times_us = [profile.whole_us, profile.whole_low_us, profile.whole_high_us]
    times_us += [t for step in profile.steps for t in (step.median_us, step.low_us, step.high_us)]
    counts = [profile.runs, profile.interrupted, *(step.macs or 0 for step in profile.steps)]
    if not 0 <= min(times_us) <= max(times_us) <= LONGEST_NS / 1e3 or min(counts) < 0:
        raise RecordError("a profile with a time or a number below 0, or a time of more than a day")
    return profile


def files_of_run(run: ProcessRun) -> list[tuple[str, int]]:
    """Return digest and largest size of the files of a run: samples, whole inferences, series."""
    return [
        (run.samples, run.sample_count * _TIME_BYTES),
        (run.end_to_end, run.end_to_end_count * _TIME_BYTES),
        *((sha256, MOST_SAMPLES * _TIME_BYTES) for sha256 in run.series.values()),
    ]


def read_times(content: bytes, count: int | None = None) -> array[int]:
    """Read a file of 64-bit values.

    Args:
        content: File.
        count: Number of times, each longer than 0; `None` for any number of any values.

    Raises:
        RecordError: It has another form; the board is broken, or no agent of kedge.
    """
    if len(content) % _TIME_BYTES or (count is not None and len(content) != count * _TIME_BYTES):
        raise RecordError(f"a file of times has {len(content)} bytes")
    import numpy as np  # who asks for times computes figures of them

    values = unpack_times(content)
    times = np.asarray(values)
    if count and not 0 < times.min() <= times.max() <= LONGEST_NS:
        raise RecordError("a run that took no time, or more than a day")
    return values


def check_series(run: ProcessRun, series: Mapping[str, Sequence[int]]) -> None:
    """Refuse series from which no figure can be computed.

    Args:
        run: Report of the process.
        series: Values of each series by its name; see `ProcessRun.series`.

    Raises:
        RecordError: They do not fit the run; the board is broken, or no agent of kedge.
    """
    if "memory" in series:
        readings, starts = len(series["memory"]), len(series.get("starts", ()))
        if readings < 2 or readings % 2 or starts != run.sample_count:
            raise RecordError(
                f"a soak of {run.sample_count} samples has {starts} starts, and {readings} values "
                "for pairs of a time and a memory"
            )
    if run.period_ns and not (series.get("responses") and run.warmup_runs > 0 <= run.requests):
        raise RecordError("a paced run without response times, warm-up runs or requests")


def read_conditions_file(content: bytes) -> tuple[Conditions, ...]:
    """Read the file of the conditions of a run.

    Raises:
        RecordError: It has another form; the board is broken, or no agent of kedge.
    """
    entries = parse_json(content)
    if not isinstance(entries, list):
        raise RecordError("expected a list of conditions")
    return tuple(conditions_from_json(entry) for entry in entries)


def read_outputs(answer: Mapping[str, Any], most_samples: int, most_bytes: int) -> list[TensorFile]:
    """Read which files hold the outputs of a job.

    Args:
        answer: Answer of the job.
        most_samples: Number of samples that were sent.
        most_bytes: Largest size of all outputs together.

    Raises:
        RecordError: It has another form; the board is broken, or no agent of kedge.
    """
    outputs = read_value(list[Any], answer.get("outputs"), "outputs")
    files = [read_record(TensorFile, entry) for entry in outputs]
    names = {file.name for file in files}
    for file in files:
        if file.dtype not in _VALUE_BYTES:
            raise RecordError(f"output {file.name} of the type {file.dtype[:40]}")
        if not file.shape or min(file.shape) < 0 or not 0 < file.shape[0] <= most_samples:
            raise RecordError(f"output {file.name} of the shape {file.shape[:8]}")
    size = sum(file.size_bytes for file in files)
    if len(names) != len(files) or size > most_bytes:
        raise RecordError(f"{len(files)} outputs of {size} bytes, expected at most {most_bytes}")
    return files


def read_tensors(
    files: Sequence[TensorFile], contents: Sequence[bytes]
) -> dict[str, np.ndarray[Any, Any]]:
    """Read tensors that came as files of little-endian values.

    Args:
        files: Name, type and shape of each tensor.
        contents: Content of each file.

    Returns:
        Name of each tensor to an array of the type and shape that its file states.

    Raises:
        RecordError: It has another form; the board is broken, or no agent of kedge.
    """
    import numpy as np  # only who compares outputs needs it

    tensors = {}
    for file, content in zip(files, contents, strict=True):
        if len(content) != file.size_bytes:
            raise RecordError(f"output {file.name} has {len(content)} bytes")
        values = np.frombuffer(content, np.dtype(file.dtype).newbyteorder("<"))
        tensors[file.name] = values.reshape(file.shape).astype(file.dtype, copy=False)
    return tensors
