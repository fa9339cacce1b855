"""The files that `trtexec` writes: times, outputs and profile. Nothing in them is trusted."""

from __future__ import annotations

import json
import math
import os
import re
from typing import Any, Dict, List, Match, NamedTuple, Tuple

from device_agent.contract.codes import CHILD_DIED, RefusalError

#: Largest file that is read: 300 bytes a query, and 10 bytes a value of an output.
MOST_BYTES = 64 << 20

#: Longest time of a query, in milliseconds.
_MOST_MS = 3.6e6

#: Most steps of a profile.
_MOST_STEPS = 20_000
_MOST_NAME = 200

#: C++ writes these numbers so, which JSON does not have; they stand between values only.
_NOT_FINITE = re.compile(r"(?<=[\[,\s])(-?)(nan|inf)(?=[\],\s])")


class QueryTime(NamedTuple):
    """Times of one inference, in nanoseconds."""

    start_ns: int
    """Start of its kernels, since the first inference."""
    compute_ns: int
    """Time that its kernels took on the GPU."""
    latency_ns: int
    """Time of its kernels and of the transfers of inputs to the GPU and of outputs from it."""


class EngineOutput(NamedTuple):
    """Values of one output."""

    shape: Tuple[int, ...]
    values: List[float]


class StepTime(NamedTuple):
    """Time of one step of an engine."""

    name: str
    """Name of the step: that of the node, or the names of several that became one."""
    median_us: float
    """Median, or the mean where the release gives no median, in microseconds."""


def read_query_times(path: str) -> List[QueryTime]:
    """Read the times that `--exportTimes` wrote, in the order of time.

    Raises:
        RefusalError: The file is missing, too large, or no list of times.
    """
    queries = [_query(entry) for entry in _records(path, "times")]
    if not queries:
        raise _odd("times", "it has none")
    queries.sort()
    first = queries[0].start_ns
    return [query._replace(start_ns=query.start_ns - first) for query in queries]


def _query(entry: Dict[str, Any]) -> QueryTime:
    start = _number(entry.get("startComputeMs"), "startComputeMs", 0.0)
    compute = _number(entry.get("computeMs"), "computeMs", 1e-6)
    latency = _number(entry.get("latencyMs"), "latencyMs", 1e-6)
    return QueryTime(round(start * 1e6), round(compute * 1e6), round(max(compute, latency) * 1e6))


def _number(value: Any, name: str, least: float) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not least <= value <= _MOST_MS:
        raise _odd("times", "{} is {}".format(name, repr(value)[:40]))
    return float(value)


def read_engine_outputs(path: str) -> Dict[str, EngineOutput]:
    """Read the outputs that `--exportOutput` wrote: values of the last inference, by name.

    Raises:
        RefusalError: The file is missing, too large, or holds no outputs.
    """
    outputs = {}
    for entry in _records(path, "outputs"):
        name, dimensions, values = (entry.get(key) for key in ("name", "dimensions", "values"))
        if not isinstance(name, str) or not isinstance(dimensions, str):
            raise _odd("outputs", "an output has no name or no dimensions")
        if not re.match(r"(?:\d{1,9}(?:x\d{1,9}){0,15})?\Z", dimensions):
            raise _odd("outputs", "the dimensions of one are {!r}".format(dimensions[:40]))
        shape = tuple(int(size) for size in dimensions.split("x") if size)
        if not isinstance(values, list) or not all(type(each) in (int, float) for each in values):
            raise _odd("outputs", "the values of one are no numbers")
        count = 1
        for size in shape:
            count *= size
        if len(values) != count or name in outputs:
            message = "one has {} values for the dimensions {}"
            raise _odd("outputs", message.format(len(values), dimensions or "of a number"))
        outputs[name] = EngineOutput(shape, values)
    return outputs


def read_engine_profile(path: str) -> Tuple[int, List[StepTime]]:
    """Read the profile that `--exportProfile` wrote: number of runs, and the steps in order.

    Raises:
        RefusalError: The file is missing, too large, or no profile.
    """
    runs, steps = 0, []
    for entry in _records(path, "profile")[:_MOST_STEPS]:
        count, name = entry.get("count"), entry.get("name")
        if name is None and type(count) is int and 0 < count < 1 << 40:
            runs = count
        elif isinstance(name, str):
            median = entry.get("medianMs", entry.get("averageMs"))
            steps.append(StepTime(name[:_MOST_NAME], _number(median, "medianMs", 0.0) * 1e3))
    if not runs or not steps:
        raise _odd("profile", "it has no steps")
    return runs, steps


def _records(path: str, kind: str) -> List[Dict[str, Any]]:
    try:
        size = os.path.getsize(path)
        if size > MOST_BYTES:
            raise _odd(kind, "it has {} bytes, more than {}".format(size, MOST_BYTES))
        with open(path, "rb") as file:
            text = file.read(MOST_BYTES + 1).decode("utf-8", "replace")
    except OSError as error:
        raise _odd(kind, "it was not written") from error
    text = _NOT_FINITE.sub(_json_number, text)
    try:
        entries = json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        raise _odd(kind, "it is no JSON") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _odd(kind, "it is no list of records")
    return entries


def _json_number(match: Match[str]) -> str:
    sign, name = match.groups()
    return "NaN" if name == "nan" else sign + "Infinity"


def _odd(kind: str, why: str) -> RefusalError:
    message = "the file of {} that trtexec wrote cannot be used: {}".format(kind, why)
    hint = "Is another program called trtexec on the board? `kedge target check` names its path."
    return RefusalError(CHILD_DIED, message, hint)
