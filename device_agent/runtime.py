"""The inference process: one job on its standard input, one answer on its standard output.

The only importer of a TFLite runtime and of numpy. It is a process of its own because a runtime may
abort, crash or be killed; the agent that started it then tells why. A job ends the process.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
from array import array
from typing import Any, Callable, Dict, Iterator, List

from device_agent.benchmark import time_calls
from device_agent.contract.codes import (
    BAD_REQUEST,
    CHILD_DIED,
    INTERNAL,
    MODEL_REFUSED,
    RUNTIME_IMPORT,
    RefusalError,
)
from device_agent.contract.measurement import RUNTIME_MODULES
from device_agent.facts import userland
from device_agent.os_errors import named_os_errors
from device_agent.usage import busy_cpu_ns, peak_rss_bytes, reset_peak
from device_agent.whole_inference import whole_inference

#: How often a long job says how far it is.
_PROGRESS_INTERVAL_S = 0.5

#: How long the end-to-end phase lasts, as a share of the steady one.
_WHOLE_SHARE = 0.25

_PR_SET_PDEATHSIG = 1

_FAILS_WHEN_RUN = "the model loads, but fails when it is run"

Say = Callable[[Dict[str, Any]], None]


def main() -> int:
    """Read one job, do it, answer; return the exit code."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints must not corrupt the answer

    def say(answer: Dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    _end_with_the_agent()
    try:
        job = json.loads(sys.stdin.readline())
        with named_os_errors():
            say({"result": _JOBS[job["job"]](job, say)})
    except RefusalError as fault:
        say({"code": fault.code, "message": str(fault), "hint": fault.hint})
    except MemoryError:
        message = "the inference process ran out of memory"
        say({"code": CHILD_DIED, "message": message, "hint": "Use a smaller model, or fewer data."})
    except Exception as error:
        say({"code": INTERNAL, "message": "{}: {}".format(type(error).__name__, error)})
        raise
    return 0


def _end_with_the_agent() -> None:
    """Let the kernel end this process when the agent is killed and cannot do it any more."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes  # some boards have a Python without it; numpy loads it anyway

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _describe(job: Dict[str, Any], _: Say) -> Dict[str, Any]:
    runtime = _Runtime(job)
    return {"kernel_class": runtime.kernel_class, "numpy": runtime.numpy.__version__}


def _benchmark(job: Dict[str, Any], say: Say) -> Dict[str, Any]:
    runtime = _Runtime(job)
    started = time.perf_counter_ns()
    interpreter = runtime.open(job["model"], job["threads"])
    loaded = time.perf_counter_ns()
    _allocate(interpreter)
    allocated = time.perf_counter_ns()
    runtime.fill_inputs(interpreter, job["seed"])
    before_first = time.perf_counter_ns()
    _invoke(interpreter)
    after_first = time.perf_counter_ns()
    load_peak = peak_rss_bytes()
    reset_peak()
    say({"event": {"phase": "warm-up"}})
    with _refusals(_FAILS_WHEN_RUN):
        busy, own, began = busy_cpu_ns(), time.process_time_ns(), time.perf_counter_ns()
        timing = time_calls(interpreter.invoke, job["warmup_s"], job["duration_s"])
        others = (busy_cpu_ns() - busy) - (time.process_time_ns() - own)
        window = time.perf_counter_ns() - began
        peak = peak_rss_bytes()
        whole = time_calls(
            whole_inference(runtime.numpy, interpreter, job["seed"]),
            job["warmup_s"] * _WHOLE_SHARE,
            job["duration_s"] * _WHOLE_SHARE,
        )
    _write_samples(job["samples"], timing.samples_ns)
    _write_samples(job["end_to_end"], whole.samples_ns)
    return {
        "kernel_class": runtime.kernel_class,
        "numpy_version": runtime.numpy.__version__,
        "threads": job["threads"],
        "import_ns": runtime.import_ns,
        "load_ns": loaded - started,
        "allocate_ns": allocated - loaded,
        "first_invoke_ns": after_first - before_first,
        "warmup_runs": timing.warmup_runs,
        "cpu_ns": timing.cpu_ns,
        "wall_ns": timing.wall_ns,
        "peak_rss_bytes": peak,
        "load_peak_rss_bytes": load_peak,
        "others_cores": max(0.0, others / window),
        "sample_count": len(timing.samples_ns),
        "end_to_end_count": len(whole.samples_ns),
    }


def _write_samples(path: str, samples: "array[int]") -> None:
    if sys.byteorder == "big":
        samples.byteswap()
    with open(path, "wb") as file:
        samples.tofile(file)


def _infer(job: Dict[str, Any], say: Say) -> Dict[str, Any]:
    runtime = _Runtime(job)
    numpy = runtime.numpy
    interpreter = runtime.open(job["model"], job["threads"])
    _allocate(interpreter)
    feeds = _feeds(numpy, interpreter, job["inputs"])
    count = len(next(iter(feeds.values())))
    details = interpreter.get_output_details()
    results = [numpy.empty([count] + _sample_shape(d), d["dtype"]) for d in details]
    told = time.monotonic()
    for index in range(count):
        for tensor, values in feeds.items():
            interpreter.set_tensor(tensor, values[index])
        _invoke(interpreter)
        with _refusals("an output changes its shape from one sample to the next"):
            for detail, values in zip(details, results):
                values[index] = interpreter.get_tensor(detail["index"]).reshape(values.shape[1:])
        if time.monotonic() - told > _PROGRESS_INTERVAL_S:
            told = time.monotonic()
            say({"event": {"phase": "infer", "done": index + 1, "total": count}})
    outputs = []
    for position, (detail, values) in enumerate(zip(details, results)):
        path = "{}.{}".format(job["outputs"], position)
        with open(path, "wb") as file:  # unlike tofile(), it says why it cannot be written
            file.write(values.astype(values.dtype.newbyteorder("<")).data)
        shape = [int(size) for size in values.shape]
        outputs.append(
            {"name": detail["name"], "dtype": values.dtype.name, "shape": shape, "path": path}
        )
    return {"kernel_class": runtime.kernel_class, "samples": count, "outputs": outputs}


_JOBS = {"describe": _describe, "benchmark": _benchmark, "infer": _infer}


class _Runtime:
    """An imported TFLite runtime."""

    def __init__(self, job: Dict[str, Any]) -> None:
        self._name = job["runtime"]
        if self._name not in RUNTIME_MODULES:
            raise RefusalError(BAD_REQUEST, "unknown runtime {!r}".format(self._name))
        if job["tree"]:
            sys.path.insert(0, job["tree"])
        started = time.perf_counter_ns()
        try:
            self.numpy = importlib.import_module("numpy")
            module = importlib.import_module(RUNTIME_MODULES[self._name])
            self._interpreter = module.Interpreter
        except Exception as error:  # a lying wheel may raise anything while it is imported
            message = "{} does not load here: {}: {}".format(
                self._name, type(error).__name__, _reason(error)
            )
            hint = "Run `kedge target check` for what this board can load."
            raise RefusalError(RUNTIME_IMPORT, message, hint) from error
        self.import_ns = time.perf_counter_ns() - started

    @property
    def kernel_class(self) -> Dict[str, str]:
        """The fields of `KernelClass`."""
        machine = userland(os.uname().machine, 64 if sys.maxsize > 2**32 else 32)
        return {"machine": machine, "runtime": self._name, "version": self._version()}

    def _version(self) -> str:
        package = sys.modules[RUNTIME_MODULES[self._name].split(".")[0]]
        version = getattr(package, "__version__", "")
        if version:
            return str(version)
        folder = os.path.dirname(os.path.dirname(getattr(package, "__file__", None) or ""))
        prefix = self._name.replace("-", "_") + "-"
        for entry in os.listdir(folder) if folder else []:
            if entry.startswith(prefix) and entry.endswith(".dist-info"):
                return entry[len(prefix) : -len(".dist-info")]
        return "unknown"

    def open(self, model: str, threads: int) -> Any:
        """Build an interpreter, which reads and verifies the model."""
        with _refusals("the runtime refuses the model"):
            return self._interpreter(model_path=model, num_threads=threads)

    def fill_inputs(self, interpreter: Any, seed: int) -> None:
        """Give every input reproducible random values over the range of its type."""
        random = self.numpy.random.RandomState(seed)
        for detail in interpreter.get_input_details():
            kind = self.numpy.dtype(detail["dtype"])
            if kind.kind == "f":
                values = random.uniform(-1, 1, detail["shape"])
            elif kind.kind == "b":
                values = random.randint(0, 2, detail["shape"])
            elif kind.kind not in "iu":
                message = "input {} is of type {}: kedge has no values for it"
                raise RefusalError(MODEL_REFUSED, message.format(detail["name"], kind.name))
            else:
                limits = self.numpy.iinfo(kind)
                values = random.uniform(limits.min, limits.max, detail["shape"])
            interpreter.set_tensor(detail["index"], values.astype(kind))


def _feeds(numpy: Any, interpreter: Any, inputs: List[Dict[str, Any]]) -> Dict[int, Any]:
    """Map each input tensor's index to its samples, one model input (batch 1) a sample."""
    files = {entry["name"]: entry for entry in inputs}
    names = [detail["name"] for detail in interpreter.get_input_details()]
    if not names or set(files) - set(names):
        message = "the model has the inputs {}, values were sent for {}"
        raise RefusalError(BAD_REQUEST, message.format(names, sorted(files)))
    feeds = {}
    for detail in interpreter.get_input_details():
        entry = files.get(detail["name"])
        if entry is None:
            raise RefusalError(
                BAD_REQUEST, "no values were sent for input {}".format(detail["name"])
            )
        kind = numpy.dtype(detail["dtype"])
        shape = [-1] + [int(size) for size in detail["shape"]]
        if entry["dtype"] != kind.name:
            message = "input {} takes {}, {} was sent"
            raise RefusalError(
                BAD_REQUEST, message.format(detail["name"], kind.name, entry["dtype"])
            )
        values = numpy.fromfile(entry["path"], kind.newbyteorder("<")).astype(kind)
        try:
            feeds[detail["index"]] = values.reshape(shape)
        except ValueError as error:
            message = "{} values do not fill inputs of shape {}".format(values.size, shape[1:])
            raise RefusalError(BAD_REQUEST, message) from error
    if len({len(values) for values in feeds.values()}) > 1:
        counts = ", ".join(str(len(values)) for values in feeds.values())
        raise RefusalError(BAD_REQUEST, "the inputs have different sample counts: " + counts)
    return feeds


def _reason(error: Exception) -> str:
    """The line of an import error that says what is wrong; numpy's is an essay around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("Original error was")]
    return (told or lines or [""])[0]


def _sample_shape(detail: Dict[str, Any]) -> List[int]:
    """The shape without its batch dimension of 1, where it has one."""
    shape = [int(size) for size in detail["shape"]]
    return shape[1:] if shape[:1] == [1] else shape


def _allocate(interpreter: Any) -> None:
    with _refusals("the runtime cannot prepare the model"):
        interpreter.allocate_tensors()


def _invoke(interpreter: Any) -> None:
    with _refusals(_FAILS_WHEN_RUN):
        interpreter.invoke()


@contextlib.contextmanager
def _refusals(what: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise RefusalError(MODEL_REFUSED, "{}: {}".format(what, str(error).strip())) from error
