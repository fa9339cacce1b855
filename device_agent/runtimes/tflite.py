"""The driver of .tflite files: a TFLite runtime of this process, imported here and nowhere else.

Only an inference process imports this module, late: a runtime may abort, crash or be killed.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from typing import Any, Callable, Dict, List, Optional, Sequence

from device_agent.board.board_runtimes import package_version
from device_agent.board.facts import userland
from device_agent.board.pseudo_files import text_of
from device_agent.contract.codes import BAD_REQUEST, RUNTIME_IMPORT, RefusalError
from device_agent.contract.cpu_features import cpu_features
from device_agent.contract.placement import Placement
from device_agent.contract.runtimes import RUNTIME_MODULES, distribution_of
from device_agent.contract.state import RELOAD, RESET
from device_agent.contract.tensors import unique_names
from device_agent.job_fields import IMPORT_PHASE, Job
from device_agent.runtimes.delegate import EDGETPU, is_compiled_for_edgetpu, load_delegate
from device_agent.runtimes.driver import (
    Array,
    BoardModel,
    ModelDriver,
    Say,
    TensorInfo,
    name_runtime_errors,
)
from device_agent.runtimes.placement import Node, place


class Driver(ModelDriver):
    """An imported TFLite runtime, and the delegate that goes with it."""

    def __init__(self, job: Job, say: Say) -> None:
        """Import the runtime that a job names; see `import_driver`.

        Raises:
            RefusalError: The runtime does not load on this board.
        """
        self._say = say
        self._name = job.runtime
        self._wanted_delegate = job.delegate
        self._delegate_name = os.path.basename(self._wanted_delegate)
        self._allow_cpu = job.allow_cpu
        self._delegate: Any = None
        _keep_to(job.cores)
        self._module = RUNTIME_MODULES[distribution_of(self._name)]
        if job.tree:
            sys.path.insert(0, job.tree)
        say({"event": {"phase": IMPORT_PHASE}})
        started = time.perf_counter_ns()
        try:
            self.numpy = importlib.import_module("numpy")
            module = importlib.import_module(self._module)
            self._interpreter = module.Interpreter
            self._load_delegate = getattr(module, "load_delegate", None)
        except Exception as error:  # a lying wheel may raise anything while it is imported
            message = "{} does not load here: {}: {}".format(
                self._name, type(error).__name__, _reason(error)
            )
            raise RefusalError(RUNTIME_IMPORT, message, _import_hint(error)) from error
        self.import_ns = time.perf_counter_ns() - started

    @property
    def kernel_class(self) -> Dict[str, str]:
        """The fields of `device_agent.contract.measurement.KernelClass`."""
        machine = userland(os.uname().machine, 64 if sys.maxsize > 2**32 else 32)
        return {
            "machine": machine,
            "runtime": self._name,
            "version": self._version(),
            "delegate": self._delegate_name if self._delegate is not None else "",
            "cpu_features": " ".join(cpu_features(text_of("/", "proc/cpuinfo"))),
        }

    @property
    def folder(self) -> str:
        """Folder of the runtime's package."""
        package = sys.modules[self._module.split(".")[0]]
        return os.path.dirname(getattr(package, "__file__", None) or "")

    def _version(self) -> str:
        package = sys.modules[self._module.split(".")[0]]
        version = getattr(package, "__version__", "")
        if version:
            return str(version)
        folder = os.path.dirname(os.path.dirname(getattr(package, "__file__", None) or ""))
        return package_version(package.__name__, folder) if folder else "unknown"

    def prepare_delegate(self) -> None:
        """Load the delegate that the job names, if it names one.

        Raises:
            RefusalError: The delegate does not load; the message says why.
        """
        if not self._wanted_delegate or self._delegate is not None:
            return
        if self._load_delegate is None:
            message = "{} has no function that loads a delegate".format(self._name)
            raise RefusalError(RUNTIME_IMPORT, message, "Choose another `runtime` in kedge.toml.")
        self._say({"event": {"phase": "load the delegate " + self._delegate_name}})
        name = "{} {}".format(self._name, self._version())
        self._delegate = load_delegate(self._load_delegate, self._wanted_delegate, name)

    def open(self, model: str, threads: int) -> BoardModel:
        """Build an interpreter, which reads and verifies the model; on the delegate, if any.

        Raises:
            RefusalError: The runtime refuses the model, or the delegate does not load.
        """
        if self.needs_delegate(model):
            self.prepare_delegate()
        self._say({"event": {"phase": "load the model"}})
        more = {} if self._delegate is None else {"experimental_delegates": [self._delegate]}

        def build() -> Any:
            return self._interpreter(model_path=model, num_threads=threads, **more)

        delegate = self._delegate_name if self._delegate is not None else ""
        return _Model(self.numpy, build, delegate)

    def needs_delegate(self, model: str) -> bool:
        """Whether a model runs on the delegate that the job names, or may run without it."""
        on_cpu = self._allow_cpu and self._wanted_delegate == EDGETPU
        return bool(self._wanted_delegate) and not (on_cpu and not is_compiled_for_edgetpu(model))


class _Model(BoardModel):
    """An interpreter with a model."""

    def __init__(self, numpy: Any, build: Callable[[], Any], delegate: str) -> None:
        """Build an interpreter.

        Raises:
            RefusalError: The runtime refuses the model.
        """
        self._numpy = numpy
        self._build = build
        with name_runtime_errors("the runtime refuses the model"):
            self._interpreter = build()
        self._delegate = delegate
        self._opened = _node_count(self._interpreter)

    @property
    def inputs(self) -> List[TensorInfo]:
        return _tensor_infos(self._numpy, self._interpreter.get_input_details())

    @property
    def outputs(self) -> List[TensorInfo]:
        return _tensor_infos(self._numpy, self._interpreter.get_output_details())

    def prepare(self) -> None:
        with name_runtime_errors("the runtime cannot prepare the model"):
            self._interpreter.allocate_tensors()

    def reset(self, way: str) -> None:
        with name_runtime_errors("the runtime cannot reset the state of the model"):
            if way == RELOAD:
                self._interpreter = self._build()
                self._interpreter.allocate_tensors()
            elif way == RESET:
                self._interpreter.reset_all_variables()

    @property
    def put(self) -> Callable[[int, Array], object]:
        function: Callable[[int, Array], object] = self._interpreter.set_tensor
        return function

    @property
    def run(self) -> Callable[[], object]:
        function: Callable[[], object] = self._interpreter.invoke
        return function

    @property
    def take(self) -> Callable[[int], Array]:
        function: Callable[[int], Array] = self._interpreter.get_tensor
        return function

    def placement(self) -> Optional[Placement]:
        nodes = _nodes_of(self._interpreter)
        if nodes is None:
            return None
        return Placement(place(nodes, self._opened, self._delegate), self._delegate)


def _tensor_infos(numpy: Any, details: List[Dict[str, Any]]) -> List[TensorInfo]:
    names = unique_names([detail["name"] for detail in details])
    return [_tensor_info(numpy, name, detail) for name, detail in zip(names, details)]


def _tensor_info(numpy: Any, name: str, detail: Dict[str, Any]) -> TensorInfo:
    scale, zero_point = detail["quantization"]
    return TensorInfo(
        name=name,
        dtype=numpy.dtype(detail["dtype"]),
        shape=tuple(int(size) for size in detail["shape"]),
        scale=float(scale),
        zero_point=int(zero_point),
        position=int(detail["index"]),
    )


def _node_count(interpreter: Any) -> int:
    """Number of nodes in the main graph now; 0 where the runtime does not report it."""
    try:
        return int(interpreter._interpreter.NumNodes())
    except AttributeError:
        return 0


def _nodes_of(interpreter: Any) -> Optional[List[Node]]:
    """All nodes of the main graph, delegates' included; `None` where the runtime hides them."""
    try:
        inner = interpreter._interpreter
        return [
            (
                str(inner.NodeName(index)),
                [int(tensor) for tensor in inner.NodeInputs(index)],
                [int(tensor) for tensor in inner.NodeOutputs(index)],
            )
            for index in range(inner.NumNodes())
        ]
    except AttributeError:
        return None


def _keep_to(cores: Sequence[int]) -> None:
    """Keep this process, and all threads that it will start, to some cores."""
    if not cores:
        return
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:
        there = sorted(os.sched_getaffinity(0))
        message = "the board cannot run on the cores {}, it has {}".format(list(cores), there)
        raise RefusalError(BAD_REQUEST, message, "Correct `cores` in kedge.toml.") from error


def _reason(error: Exception) -> str:
    """The line of an import error that says what is wrong; numpy's is an essay around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("Original error was")]
    return (told or lines or [""])[0]


def _import_hint(error: Exception) -> str:
    """The next step; a shared object that the kernel does not map is no fault of the wheel."""
    refusals = ("failed to map segment", "Permission denied", "not permitted")
    if any(refusal in str(error) for refusal in refusals):
        return (
            "Is the folder mounted noexec, or does SELinux or AppArmor forbid its shared objects? "
            "Name another folder as `root` of this target in kedge.toml."
        )
    return "Run `kedge target check` for what this board can load."
