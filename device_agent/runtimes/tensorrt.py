"""The driver of .onnx files on TensorRT: NVIDIA's own `trtexec`, a process for each step.

It builds an engine once, which the board keeps, and runs it. No library of TensorRT is loaded into
this process, so that no bindings have to fit the board's Python.
"""

from __future__ import annotations

import importlib
import math
import os
import sys
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from device_agent.board.tensorrt import find_trtexec, gpu_name
from device_agent.contract.codes import CHILD_DIED, MODEL_REFUSED, RUNTIME_IMPORT, RefusalError
from device_agent.contract.placement import Placement
from device_agent.job_fields import IMPORT_PHASE, Job
from device_agent.runtimes.driver import Array, BoardModel, ModelDriver, Say, TensorInfo
from device_agent.runtimes.engine_cache import EngineCache, engine_key
from device_agent.runtimes.imported import keep_to_cores, kernel_fields
from device_agent.runtimes.onnx_header import OnnxHeader, Port, read_header
from device_agent.runtimes.trtexec import ProcessUse, StaleEngineError, run_trtexec
from device_agent.runtimes.trtexec_faults import banner_version
from device_agent.runtimes.trtexec_files import (
    MOST_BYTES,
    EngineOutput,
    read_engine_outputs,
    read_engine_profile,
    read_query_times,
)

#: Longest time in which an engine is built: a large network takes minutes on a Jetson Nano.
BUILD_TIMEOUT_S = 3600.0

#: Longest time for loading an engine and running it, beside the time that was requested.
RUN_TIMEOUT_S = 300.0

#: Largest engine.
_MOST_ENGINE_BYTES = 2 << 30

_HELP_TIMEOUT_S = 120.0

#: Types of inputs and outputs that every release from 8 on takes as the file has them.
_TYPES = ("float32", "int32", "bool", "float16")

_OLDEST = (8, 0)


class Driver(ModelDriver):
    """The board's `trtexec`, and numpy for the values."""

    def __init__(self, job: Job, say: Say) -> None:
        """Start `trtexec` once, which says its version.

        Raises:
            RefusalError: The board has none, or it does not start.
        """
        self.say = say
        self._name, self.folder_of_job, self._engines = job.runtime, job.folder, job.engines
        keep_to_cores(job.cores)
        if job.tree:
            sys.path.insert(0, job.tree)
        say({"event": {"phase": IMPORT_PHASE}})
        started = time.perf_counter_ns()
        try:
            self.numpy = importlib.import_module("numpy")
        except Exception as error:  # a damaged one may raise anything while it is imported
            message = "numpy does not load here: {}".format(str(error)[:500])
            raise RefusalError(RUNTIME_IMPORT, message, "Get its wheel again.") from error
        self.program = find_trtexec()
        if not self.program:
            message = "the board has no trtexec, which TensorRT's packages bring"
            hint = "On the board: sudo apt-get install tensorrt. Or put its folder on the PATH."
            raise RefusalError(RUNTIME_IMPORT, message, hint)
        banner = run_trtexec(self.program, ["--help"], "/", _HELP_TIMEOUT_S, MOST_BYTES)
        self.version = banner_version(banner.text)
        self.gpu = gpu_name()
        self.import_ns = time.perf_counter_ns() - started
        if self.version < _OLDEST:
            name = ".".join(map(str, self.version)) or "of no known version"
            message = "{} is {}, kedge needs TensorRT 8 or newer".format(self.program, name)
            raise RefusalError(RUNTIME_IMPORT, message, "Update JetPack on the board.")

    @property
    def kernel_class(self) -> Dict[str, str]:
        """The fields of `device_agent.contract.measurement.KernelClass`."""
        return kernel_fields(self._name, self.version_text, self.gpu)

    @property
    def version_text(self) -> str:
        """Version of TensorRT, such as `10.3.0`."""
        return ".".join(map(str, self.version))

    @property
    def folder(self) -> str:
        """Folder of `trtexec`."""
        return os.path.dirname(self.program)

    def prepare_delegate(self) -> None:
        """Do nothing: TensorRT has the GPU alone."""

    def needs_delegate(self, model: str) -> bool:
        """Return False: TensorRT has no delegates."""
        del model
        return False

    def open(self, model: str, threads: int) -> _Model:
        """Return the model with its engine, which is built where the board has none yet.

        Raises:
            RefusalError: TensorRT refuses the model, or the engine cannot be built or kept.
        """
        del threads  # the GPU has its own
        return _Model(self, model)

    def profile(self, job: Job) -> Dict[str, Any]:
        """Measure how long each step of the engine takes; see `ModelDriver.profile`."""
        model = self.open(job.model, 1)
        self.say({"event": {"phase": "profile"}})
        times, profile = (os.path.join(job.folder, name) for name in ("times", "profile"))
        model.execute(
            [
                "--exportTimes=" + times,
                "--exportProfile=" + profile,
                "--separateProfileRun",
                *self.duration(0.2, job.duration_s / 2),
            ],
            2 * job.duration_s,
        )
        runs, steps = read_engine_profile(profile)
        whole = sorted(query.compute_ns for query in read_query_times(times))
        return {
            "steps": [
                {"op": step.name, "executor": "TensorRT", "median_us": step.median_us}
                for step in steps
            ],
            "runs": runs,
            "whole_us": whole[len(whole) // 2] / 1e3,
        }

    def build_options(self, is_quantized: bool) -> List[str]:
        """Return the options that decide the kernels of an engine.

        Up to release 10 the types of a quantized file are asked for; `--int8` for another one would
        make TensorRT invent scales. From 11 on the file alone decides.
        """
        return ["--int8", "--fp16"] if is_quantized and self.version < (11,) else []

    def duration(self, warmup_s: float, duration_s: float) -> List[str]:
        """Return the options for how long it runs; releases before 8.5 take whole seconds."""
        if self.version < (8, 5):
            duration_s = math.ceil(duration_s)
        return ["--warmUp={:.0f}".format(1e3 * warmup_s), "--duration={:g}".format(duration_s)]

    def find_engine(self, model: str, is_quantized: bool) -> str:
        """Return the path of the engine of a model; build it where the board has none.

        Raises:
            RefusalError: TensorRT refuses the model, or the engine cannot be kept.
        """
        options = self.build_options(is_quantized)
        key = engine_key(model, self.version_text, self.gpu, options)
        cache = EngineCache(self._engines)
        path = cache.find(key)
        if path:
            return path
        self.say({"event": {"phase": "build the engine, once for this board"}})
        engine = os.path.join(self.folder_of_job, "engine")
        last = "--skipInference" if self.version >= (8, 6) else "--buildOnly"
        arguments = ["--onnx=" + model, "--saveEngine=" + engine, last, *options]
        try:
            run_trtexec(
                self.program, arguments, self.folder_of_job, BUILD_TIMEOUT_S, _MOST_ENGINE_BYTES
            )
        except StaleEngineError as error:
            raise RefusalError(CHILD_DIED, "trtexec: {}".format(error), "") from error
        if not os.path.isfile(engine):
            message = "trtexec ended well, and wrote no engine"
            raise RefusalError(CHILD_DIED, message, "Is it NVIDIA's? `kedge target check` says.")
        return cache.keep(engine, key)

    def forget_engine(self, path: str) -> None:
        """Remove an engine that TensorRT refuses."""
        EngineCache(self._engines).drop(path)


class _Model(BoardModel):
    """A model, its engine, and the values of its inputs and outputs."""

    def __init__(self, driver: Driver, model: str) -> None:
        """Read the inputs and outputs of the file, and find or build its engine.

        Raises:
            RefusalError: The file is damaged, TensorRT refuses it, or an input is of a type that
                it does not take as it is.
        """
        self._driver, self._path = driver, model
        self._header: OnnxHeader = read_header(model)
        for kind, ports in (("input", self._header.inputs), ("output", self._header.outputs)):
            for port in ports:
                _check(kind, port)
        driver.say({"event": {"phase": "load the model"}})
        self._engine = driver.find_engine(model, self._header.is_quantized)
        self._values: List[Array] = []
        self._results: Dict[str, EngineOutput] = {}

    @property
    def inputs(self) -> List[TensorInfo]:
        return self._infos(self._header.inputs)

    @property
    def outputs(self) -> List[TensorInfo]:
        return [
            info._replace(shape=self._results[info.name].shape)
            if info.name in self._results
            else info
            for info in self._infos(self._header.outputs)
        ]

    def _infos(self, ports: Sequence[Port]) -> List[TensorInfo]:
        return [
            TensorInfo(
                port.name, self._driver.numpy.dtype(port.dtype), _fixed(port.shape), 0.0, 0, number
            )
            for number, port in enumerate(ports)
        ]

    def prepare(self) -> None:
        numpy = self._driver.numpy
        self._values = [numpy.zeros(info.shape, info.dtype) for info in self.inputs]

    def reset(self, way: str) -> None:
        del way  # each run is a process of its own

    @property
    def put(self) -> Callable[[int, Array], object]:
        values, copy = self._values, self._driver.numpy.copyto
        return lambda position, array: copy(values[position], array)

    @property
    def run(self) -> Callable[[], object]:
        return self._run

    def _run(self) -> None:
        path = os.path.join(self._driver.folder_of_job, "outputs")
        self.execute(
            ["--iterations=1", "--warmUp=0", "--duration=0", "--exportOutput=" + path], 0.0
        )
        self._results = read_engine_outputs(path)
        names = sorted(port.name for port in self._header.outputs)
        if sorted(self._results) != names:
            message = "trtexec gave the outputs {}, expected {}"
            shown = [name[:80] for name in sorted(self._results)[:8]]
            raise RefusalError(CHILD_DIED, message.format(shown, names), "")
        for port in self._header.outputs:
            _check_shape(port, self._results[port.name].shape)

    @property
    def take(self) -> Callable[[int], Array]:
        return self._take

    def _take(self, position: int) -> Array:
        numpy, port = self._driver.numpy, self._header.outputs[position]
        result = self._results[port.name]
        dtype = numpy.dtype(port.dtype)
        values = numpy.array(result.values, numpy.float64)
        if dtype.kind in "iu":
            limits = numpy.iinfo(dtype)
            if not ((values >= limits.min) & (values <= limits.max)).all():
                message = "output {!r} has values that are no {}"
                raise RefusalError(CHILD_DIED, message.format(port.name, port.dtype), "")
        with numpy.errstate(over="ignore"):  # float16: beyond its range is infinite
            return values.astype(dtype).reshape(result.shape)

    def placement(self) -> Optional[Placement]:
        return None

    def execute(self, arguments: List[str], duration_s: float) -> ProcessUse:
        """Run the engine in a process of `trtexec`; one of another TensorRT or GPU is built anew.

        Args:
            arguments: Options of the run.
            duration_s: Time that they make it take, beside loading the engine.

        Raises:
            RefusalError: It failed, died or did not end in time.
        """
        driver = self._driver
        options = [*self._input_files(), *arguments, *_same_conditions(driver.version)]
        timeout_s = RUN_TIMEOUT_S + 20 * duration_s
        for last in (False, True):
            try:
                return run_trtexec(
                    driver.program,
                    ["--loadEngine=" + self._engine, *options],
                    driver.folder_of_job,
                    timeout_s,
                    MOST_BYTES,
                )
            except StaleEngineError as error:
                if last:
                    message = "trtexec refuses the engine that it has just built: {}"
                    raise RefusalError(CHILD_DIED, message.format(error), "") from error
                driver.forget_engine(self._engine)
                self._engine = driver.find_engine(self._path, self._header.is_quantized)
        raise AssertionError

    def _input_files(self) -> List[str]:
        """Write the inputs that were put; return the option that names their files."""
        pairs = []
        for number, (port, values) in enumerate(zip(self._header.inputs, self._values)):
            path = os.path.join(self._driver.folder_of_job, "input.{}".format(number))
            with open(path, "wb") as file:
                file.write(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
            pairs.append("{}:{}".format(port.name, path))
        return ["--loadInputs=" + ",".join(pairs)] if pairs else []


def _same_conditions(version: Tuple[int, ...]) -> List[str]:
    """Return the options under which every release measures alike.

    Inputs and outputs travel with each inference, nothing overlaps, and the kernels are launched
    one by one.
    """
    if version >= (11,):
        return ["--includeDataTransfers", "--noCudaGraph", "--exposeDMA"]
    return ["--useSpinWait", "--exposeDMA"]


def _check(kind: str, port: Port) -> None:
    if port.dtype not in _TYPES:
        message = "{} {!r} is of type {}, which trtexec does not take as it is"
        raise RefusalError(
            MODEL_REFUSED,
            message.format(kind, port.name, port.dtype or "unknown"),
            "Convert the model with --format tensorrt, whose inputs and outputs are float32.",
        )
    if not port.name or any(sign in port.name for sign in ",'\"\\"):
        message = "{} {!r} has a name that trtexec cannot take"
        hint = "Give it a name of letters, digits and points when you export the model."
        raise RefusalError(MODEL_REFUSED, message.format(kind, port.name), hint)


def _fixed(shape: Sequence[int]) -> Tuple[int, ...]:
    """Sizes of the axes; `trtexec` gives an axis without a size the size 1."""
    return tuple(1 if size < 0 else size for size in shape)


def _check_shape(port: Port, shape: Tuple[int, ...]) -> None:
    fits = len(shape) == len(port.shape) and all(
        own in (-1, size) for own, size in zip(port.shape, shape)
    )
    if not fits:
        message = "trtexec gave the output {!r} the shape {}, expected {}"
        raise RefusalError(CHILD_DIED, message.format(port.name, list(shape), list(port.shape)), "")
