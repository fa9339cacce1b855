"""The driver of .tflite files: a TFLite runtime of this process, imported here and nowhere else.

Only an inference process imports this module, late: a runtime may abort, crash or be killed.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Optional

from device_agent.contract.codes import DELEGATE, RUNTIME_IMPORT, RefusalError
from device_agent.contract.placement import Placement
from device_agent.contract.runtimes import PROVIDER_SUFFIX
from device_agent.contract.state import RELOAD, RESET
from device_agent.contract.tensors import unique_names
from device_agent.job_fields import Job
from device_agent.runtimes.delegate import EDGETPU, is_compiled_for_edgetpu, load_delegate
from device_agent.runtimes.driver import (
    Array,
    BoardModel,
    Say,
    TensorInfo,
    name_runtime_errors,
)
from device_agent.runtimes.imported import ImportedRuntime
from device_agent.runtimes.placement import Node, place


class Driver(ImportedRuntime):
    """An imported TFLite runtime, and the delegate that goes with it."""

    def __init__(self, job: Job, say: Say) -> None:
        """Import the runtime that a job names; see `import_driver`.

        Raises:
            RefusalError: The runtime does not load on this board.
        """
        self._wanted_delegate = job.delegate
        self._allow_cpu = job.allow_cpu
        self._delegate: Any = None
        super().__init__(job, say)

    def take_module(self, module: Any) -> None:
        """Keep the names of the imported module that the driver calls."""
        self._interpreter = module.Interpreter
        self._load_delegate = getattr(module, "load_delegate", None)

    def prepare_delegate(self) -> None:
        """Load the delegate that the job names, if it names one.

        Raises:
            RefusalError: The delegate does not load; the message says why.
        """
        if not self._wanted_delegate or self._delegate is not None:
            return
        if self._wanted_delegate.endswith(PROVIDER_SUFFIX):
            message = "{} is of ONNX Runtime, and takes no .tflite".format(self._wanted_delegate)
            raise RefusalError(DELEGATE, message, "Leave out `delegate` in kedge.toml.")
        if self._load_delegate is None:
            message = "{} has no function that loads a delegate".format(self.name)
            raise RefusalError(RUNTIME_IMPORT, message, "Choose another `runtime` in kedge.toml.")
        delegate = os.path.basename(self._wanted_delegate)
        self.say({"event": {"phase": "load the delegate " + delegate}})
        name = "{} {}".format(self.name, self.version)
        self._delegate = load_delegate(self._load_delegate, self._wanted_delegate, name)
        self.accelerator = delegate

    def open(self, model: str, threads: int) -> BoardModel:
        """Build an interpreter, which reads and verifies the model; on the delegate, if any.

        Raises:
            RefusalError: The runtime refuses the model, or the delegate does not load.
        """
        if self.needs_delegate(model):
            self.prepare_delegate()
        self.say({"event": {"phase": "load the model"}})
        more = {} if self._delegate is None else {"experimental_delegates": [self._delegate]}

        def build() -> Any:
            return self._interpreter(model_path=model, num_threads=threads, **more)

        return _Model(self.numpy, build, self.accelerator)

    def needs_delegate(self, model: str) -> bool:
        """Whether a model runs on the delegate that the job names, or may run without it."""
        wanted = self._wanted_delegate
        if self._allow_cpu and wanted.endswith(PROVIDER_SUFFIX):
            return False
        on_cpu = self._allow_cpu and wanted == EDGETPU
        return bool(wanted) and not (on_cpu and not is_compiled_for_edgetpu(model))

    def profile(self, job: Job) -> Dict[str, Any]:
        """Measure how long each step of an inference with one thread takes."""
        from device_agent.runtimes.litert_profile import profile_litert  # compiled only for this

        return profile_litert(self, job)


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
