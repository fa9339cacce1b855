"""The driver of .onnx files: ONNX Runtime in this process, imported here and nowhere else.

Only an inference process imports this module, late: a runtime may abort, crash or be killed. Inputs
and outputs are bound once to buffers of the driver, so that a run copies neither.
"""

from __future__ import annotations

import functools
import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from device_agent.contract.codes import DELEGATE, MODEL_REFUSED, RefusalError
from device_agent.contract.onnx_scales import SCALES_KEY, IntegerScale, scales_from_text
from device_agent.contract.placement import Placement, provider_name
from device_agent.contract.records import RecordError
from device_agent.contract.runtimes import NO_TELEMETRY, PROVIDER_SUFFIX
from device_agent.contract.state import RELOAD
from device_agent.contract.tensors import unique_names
from device_agent.job_fields import Job
from device_agent.runtimes.driver import Array, BoardModel, Say, TensorInfo, name_runtime_errors
from device_agent.runtimes.imported import ImportedRuntime

#: The provider that every build has, and that takes what no other one takes.
_CPU = "CPU" + PROVIDER_SUFFIX

#: Types of tensors as ONNX Runtime names them, and the dtype of numpy for each.
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(int32)": "int32",
    "tensor(uint32)": "uint32",
    "tensor(int64)": "int64",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
}

#: Messages of this severity and above are written: warnings about the host's GPUs are not.
_ERRORS = 3

#: Alignment of the buffers in bytes, as ONNX Runtime aligns its own.
_ALIGNMENT = 64

_NO_DELEGATE = (
    "Leave out `delegate` of this target in kedge.toml, or name an execution provider that the "
    "runtime has, such as CUDAExecutionProvider."
)


class Driver(ImportedRuntime):
    """An imported ONNX Runtime, and the execution provider that goes with it."""

    def __init__(self, job: Job, say: Say) -> None:
        """Import the runtime that a job names; see `import_driver`.

        Raises:
            RefusalError: The runtime does not load on this board.
        """
        self.work = job.folder
        """Folder for the files of profiles."""
        self._wanted = job.delegate
        self._allow_cpu = job.allow_cpu
        os.environ.update(NO_TELEMETRY)
        super().__init__(job, say)

    def take_module(self, module: Any) -> None:
        """Keep the classes and functions of the imported module that the driver calls."""
        state = module.C
        self._session_class = module.InferenceSession
        self._options_class = state.SessionOptions
        self._available: Callable[[], List[str]] = state.get_available_providers

    def prepare_delegate(self) -> None:
        """Look for the execution provider that the job names, if it names one.

        Raises:
            RefusalError: The build of the runtime does not have it, or it names another delegate.
        """
        if not self._wanted or self._runs_on_cpu:
            return
        if not self._wanted.endswith(PROVIDER_SUFFIX):
            message = "the delegate {} is for .tflite files: ONNX Runtime takes none"
            raise RefusalError(DELEGATE, message.format(self._wanted), _NO_DELEGATE)
        available = self._available()
        if self._wanted not in available:
            message = "this build of {} {} has no {}; it has {}"
            raise RefusalError(
                DELEGATE,
                message.format(self.name, self.version, self._wanted, ", ".join(available)),
                "Name one of these as `delegate`, or the board's own build that has it as "
                'runtime = "board:onnxruntime".',
            )

    def needs_delegate(self, model: str) -> bool:
        """Whether the model at a path must run on the execution provider that the job names."""
        del model
        return bool(self._wanted) and not self._runs_on_cpu

    @property
    def _runs_on_cpu(self) -> bool:
        return self._allow_cpu and not self._wanted.endswith(PROVIDER_SUFFIX)

    def open(self, model: str, threads: int) -> BoardModel:
        """Build a session, which reads and verifies the model; on the provider, if any.

        Raises:
            RefusalError: The runtime refuses the model, or the provider does not start.
        """
        self.prepare_delegate()
        self.say({"event": {"phase": "load the model"}})
        return _Model(self, model, threads)

    def build_session(
        self, model: str, threads: int, free_axes: List[str], profile: str = ""
    ) -> Any:
        """Build a session.

        Args:
            model: Path of the model.
            threads: Number of threads of an operator.
            free_axes: Names of axes of the model that get the size 1.
            profile: Begin of the path of the profile that the session writes; empty for none.

        Raises:
            RefusalError: The provider does not start.
        """
        options = self._options_class()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS
        for name in free_axes:
            options.add_free_dimension_override_by_name(name, 1)
        if profile:
            options.enable_profiling = True
            options.profile_file_prefix = profile
        provider = self._wanted if self.needs_delegate(model) else ""
        providers = [provider, _CPU] if provider not in ("", _CPU) else [_CPU]
        session = self._session_class(model, options, providers=providers)
        if provider and provider not in session.get_providers():
            message = "{} does not start on this board".format(provider)
            hint = "Are its libraries and its driver installed there? The board's own log says."
            raise RefusalError(DELEGATE, message, hint)
        self.accelerator = provider_name(provider) if provider not in ("", _CPU) else ""
        return session

    def profile(self, job: Job) -> Dict[str, Any]:
        """Measure how long each step of an inference with one thread takes."""
        from device_agent.runtimes.onnx_profile import profile_session  # compiled only for this

        self.prepare_delegate()
        self.say({"event": {"phase": "profile"}})
        plain, profiled = (_Model(self, job.model, 1, prefix) for prefix in ("", self.work + "/p"))
        for model in (plain, profiled):
            model.prepare()
        return profile_session(plain.run, profiled.run, profiled.end_profile, job.duration_s)


class _Port(NamedTuple):
    """One input or output."""

    info: TensorInfo
    name: str
    """Name in the file."""
    free: bool
    """Whether a size of it is not known before a run."""


class _Model(BoardModel):
    """A session with a model, and the buffers that are bound to it."""

    def __init__(self, driver: Driver, model: str, threads: int, profile: str = "") -> None:
        """Build a session; a second one where the model has axes without a size.

        Raises:
            RefusalError: The runtime refuses the model.
        """
        self._driver = driver
        self._numpy = driver.numpy
        self._path, self._threads, self._profile = model, threads, profile
        self._free_axes: List[str] = []
        with name_runtime_errors("the runtime refuses the model"):
            session = self._build()
            self._free_axes = _free_axes(session.get_inputs())
            if self._free_axes:
                del session  # two would take twice the memory
                session = self._build()
        self._session = session
        self._scales = _scales_of(self._session)
        self._inputs = self._ports("input", self._session.get_inputs())
        self._outputs = self._ports("output", self._session.get_outputs())

    def _build(self) -> Any:
        return self._driver.build_session(self._path, self._threads, self._free_axes, self._profile)

    @property
    def inputs(self) -> List[TensorInfo]:
        return [port.info for port in self._inputs]

    @property
    def outputs(self) -> List[TensorInfo]:
        values = self._binding.get_outputs() if any(port.free for port in self._outputs) else []
        return [
            port.info._replace(shape=tuple(values[number].shape()))
            if port.free and number < len(values)
            else port.info
            for number, port in enumerate(self._outputs)
        ]

    def prepare(self) -> None:
        with name_runtime_errors("the runtime cannot prepare the model"):
            self._bind()

    def _bind(self) -> None:
        self._binding = self._session.io_binding()
        self._in = [self._buffer(port) for port in self._inputs]
        self._out = [None if port.free else self._buffer(port) for port in self._outputs]
        for port, buffer in zip(self._inputs, self._in):
            self._binding.bind_input(port.name, *_place_of(port.info, buffer))
        for port, buffer in zip(self._outputs, self._out):
            if buffer is not None:
                self._binding.bind_output(port.name, *_place_of(port.info, buffer))
            else:
                self._binding.bind_output(port.name, "cpu")

    def reset(self, way: str) -> None:
        if way != RELOAD:  # ONNX has no state from one run to the next
            return
        with name_runtime_errors("the runtime cannot reset the state of the model"):
            self._session = self._build()
            self._bind()

    @property
    def put(self) -> Callable[[int, Array], object]:
        copy, buffers = self._numpy.copyto, self._in

        def put(position: int, values: Array) -> None:
            copy(buffers[position], values)

        return put

    @property
    def run(self) -> Callable[[], object]:
        run = functools.partial(self._session.run_with_iobinding, self._binding)
        free = [port.name for port in self._outputs if port.free]
        if not free:
            return run
        bind = self._binding.bind_output

        def run_anew() -> None:
            for name in free:  # the runtime would keep the shape of the last run
                bind(name, "cpu")
            run()

        return run_anew

    @property
    def take(self) -> Callable[[int], Array]:
        buffers, binding = self._out, self._binding

        def take(position: int) -> Array:
            buffer = buffers[position]
            if buffer is None:
                return binding.get_outputs()[position].numpy()
            return buffer.copy()

        return take

    def placement(self) -> Optional[Placement]:
        from device_agent.runtimes.onnx_profile import place_steps  # compiled only for this

        with name_runtime_errors():
            model = _Model(
                self._driver, self._path, self._threads, self._driver.work + "/placement"
            )
            model.prepare()
            for target, values in zip(model._in, self._in):
                self._numpy.copyto(target, values)
            model.run()
            ops = place_steps(model.end_profile())
        return None if ops is None else Placement(ops, self._driver.accelerator)

    def end_profile(self) -> str:
        """End the profile of the session; return the path of its file."""
        return str(self._session.end_profiling())

    def _ports(self, kind: str, arguments: Any) -> List[_Port]:
        names = unique_names([argument.name for argument in arguments])
        return [
            self._port(kind, name, position, argument)
            for position, (name, argument) in enumerate(zip(names, arguments))
        ]

    def _port(self, kind: str, name: str, position: int, argument: Any) -> _Port:
        if argument.type not in _DTYPES:
            message = "{} {!r} is of type {}: kedge has no values for it"
            message = message.format(kind, name, argument.type)
            raise RefusalError(MODEL_REFUSED, message, "Use a model of tensors of numbers.")
        dtype = self._numpy.dtype(_DTYPES[argument.type])
        none = IntegerScale(0.0, 0)
        scale = self._scales.get(argument.name, none) if dtype.kind in "iu" else none
        shape = tuple(size if isinstance(size, int) and size >= 0 else 1 for size in argument.shape)
        free = kind == "output" and list(shape) != list(argument.shape)
        return _Port(TensorInfo(name, dtype, shape, *scale, position), argument.name, free)

    def _buffer(self, port: _Port) -> Array:
        """Return an array of zeros whose first byte is aligned."""
        dtype, shape = port.info.dtype, port.info.shape
        size = dtype.itemsize
        for count in shape:
            size *= count
        content = self._numpy.zeros(size + _ALIGNMENT, self._numpy.uint8)
        start = -content.ctypes.data % _ALIGNMENT
        return content[start : start + size].view(dtype).reshape(shape)


def _place_of(info: TensorInfo, buffer: Array) -> Tuple[str, int, Any, List[int], int]:
    """Return what a binding takes: device and its number, type, shape and address."""
    return "cpu", 0, info.dtype.type, list(info.shape), buffer.ctypes.data


def _free_axes(inputs: Any) -> List[str]:
    """Return the names of the axes of the inputs that have no size."""
    sizes = [size for entry in inputs for size in entry.shape]
    return sorted({size for size in sizes if isinstance(size, str) and size})


def _scales_of(session: Any) -> Dict[str, IntegerScale]:
    metadata = session.get_modelmeta().custom_metadata_map
    try:
        return scales_from_text(metadata.get(SCALES_KEY, ""))
    except RecordError as error:
        message = "the scales in the metadata of the model are damaged: {}".format(error)
        raise RefusalError(MODEL_REFUSED, message, "Write the file again.") from error
