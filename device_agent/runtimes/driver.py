"""The driver of a format: the code that runs its model files on the board.

A driver is a module of this folder with a class `Driver`. `DRIVERS` names the module of each
format, and of a runtime that is driven in another way. Nobody but the driver sees an object of the
runtime behind it. Jobs see a `ModelDriver`, the imported runtime, and a `BoardModel`, a model that
it opened.
"""

from __future__ import annotations

import abc
import contextlib
import importlib
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from device_agent.contract.codes import BAD_REQUEST, MODEL_REFUSED, RefusalError
from device_agent.contract.placement import Placement
from device_agent.contract.runtimes import (
    RUNTIME_FORMATS,
    RUNTIME_MODULES,
    TENSORRT,
    distribution_of,
)
from device_agent.job_fields import Job
from device_agent.runtimes.model_faults import explain_model

#: Module of the driver of each format; a runtime that has an entry of its own uses that one.
DRIVERS = {
    "tflite": "device_agent.runtimes.tflite",
    "onnx": "device_agent.runtimes.onnx",
    TENSORRT: "device_agent.runtimes.tensorrt",
}

#: Characters of a runtime's complaint that are passed on; it may repeat text of the model.
_MOST_SAID = 2000

#: A numpy array; numpy itself comes from the driver, because only a job may import it.
Array = Any

#: Sends an event to the agent.
Say = Callable[[Dict[str, Any]], None]


class TensorInfo(NamedTuple):
    """Description of one input or output of a loaded model."""

    name: str
    dtype: Any
    """The `numpy.dtype` of its values."""
    shape: Tuple[int, ...]
    """Sizes of its axes, the batch axis included."""
    scale: float
    """Real value of one step of a quantized tensor; 0 for a tensor that is not quantized."""
    zero_point: int
    """Stored value that stands for the real value 0."""
    position: int
    """Number by which `BoardModel.put` and `BoardModel.take` know the tensor."""


class BoardModel(abc.ABC):
    """Model that a driver opened; the eight members that every driver implements.

    `run`, `put` and `take` are properties that give a function of the runtime itself, so that a
    timed loop calls it without a Python function in between. Bind them once, before the loop. They
    raise what the runtime raises; `name_runtime_errors` turns that into a refusal.
    """

    @property
    @abc.abstractmethod
    def inputs(self) -> List[TensorInfo]:
        """Inputs, in the model's order."""

    @property
    @abc.abstractmethod
    def outputs(self) -> List[TensorInfo]:
        """Outputs, in the model's order; shapes are those of now."""

    @abc.abstractmethod
    def prepare(self) -> None:
        """Allocate the tensors and prepare the operators; comes once, before `put` and `run`.

        Raises:
            RefusalError: The runtime cannot prepare the model.
        """

    @abc.abstractmethod
    def reset(self, way: str) -> None:
        """Set the state to that of a fresh model, before an independent sample.

        `put`, `run` and `take` are to be read again afterwards.

        Args:
            way: Way of `device_agent.contract.state.WAYS`; nothing happens with `KEEP`.

        Raises:
            RefusalError: The runtime cannot do it.
        """

    @property
    @abc.abstractmethod
    def put(self) -> Callable[[int, Array], object]:
        """Function that copies an array into the input at a position; dtype and shape must fit."""

    @property
    @abc.abstractmethod
    def run(self) -> Callable[[], object]:
        """Function that runs one inference and returns when its outputs are ready.

        A timed call of it is the latency that `bench` reports. It reads the inputs that `put` left
        and leaves the outputs for `take`. It neither copies inputs in nor outputs out: a driver
        whose runtime copies on each call binds its inputs and outputs in `prepare`.
        """

    @property
    @abc.abstractmethod
    def take(self) -> Callable[[int], Array]:
        """Function that returns a copy of the output at a position."""

    @abc.abstractmethod
    def placement(self) -> Optional[Placement]:
        """Executor of each operator of a prepared model; `None` where the runtime hides it."""


class ModelDriver(abc.ABC):
    """Imported runtime, and the delegate that goes with it."""

    numpy: Any
    """The numpy module that the runtime was imported with."""
    import_ns: int
    """Duration of the import of numpy and of the runtime."""

    @property
    @abc.abstractmethod
    def kernel_class(self) -> Dict[str, str]:
        """The fields of `device_agent.contract.measurement.KernelClass`."""

    @property
    @abc.abstractmethod
    def folder(self) -> str:
        """Folder of the runtime's package."""

    @abc.abstractmethod
    def prepare_delegate(self) -> None:
        """Load the delegate that the job names, if it names one.

        Raises:
            RefusalError: The delegate does not load; the message says why.
        """

    @abc.abstractmethod
    def needs_delegate(self, model: str) -> bool:
        """Whether the model at a path must run on the delegate that the job names."""

    @abc.abstractmethod
    def open(self, model: str, threads: int) -> BoardModel:
        """Read and verify the model at a path; on the delegate, if the job names one.

        Raises:
            RefusalError: The runtime refuses the model, or the delegate does not load.
        """

    @abc.abstractmethod
    def profile(self, job: Job) -> Dict[str, Any]:
        """Measure how long each step of an inference with one thread takes.

        Args:
            job: The job, with `model`, `duration_s` and a `folder` for files.

        Returns:
            The fields of `device_agent.contract.op_times.OpTimes`; `reason` says why there are no
            times.

        Raises:
            RefusalError: The runtime refuses the model.
        """


def import_driver(job: Job, say: Optional[Say] = None) -> ModelDriver:
    """Import the runtime that a job names, behind the driver of its format.

    Args:
        job: The job, with `runtime`, `tree`, `delegate`, `allow_cpu` and `cores`.
        say: Receiver of an event before each step that may crash.

    Raises:
        RefusalError: No driver knows the runtime, or it does not load on this board.
    """
    runtime = distribution_of(job.runtime)
    if runtime not in RUNTIME_FORMATS:
        raise RefusalError(BAD_REQUEST, "unknown runtime {!r}".format(job.runtime))
    module = importlib.import_module(DRIVERS.get(runtime) or DRIVERS[RUNTIME_FORMATS[runtime]])
    driver: ModelDriver = module.Driver(job, say or (lambda _: None))
    return driver


def run_once(model: BoardModel) -> None:
    """Run one inference.

    Raises:
        RefusalError: The model fails.
    """
    with name_runtime_errors():
        model.run()


def is_fault_of_runtime(error: Exception) -> bool:
    """Whether an error was raised in a runtime, or in the driver that calls it.

    A driver asks a runtime for names that a broken one does not have.
    """
    modules: List[str] = []
    place = error.__traceback__
    while place is not None:
        modules.append(str(place.tb_frame.f_globals.get("__name__", "")))
        place = place.tb_next
    if any(_is_of_runtime(module) for module in modules):
        return True
    own = [module for module in modules if module.startswith("device_agent.")]
    return bool(own) and own[-1].startswith("device_agent.runtimes.")


def _is_of_runtime(module: str) -> bool:
    return module.split(".")[0] in {name.split(".")[0] for name in RUNTIME_MODULES.values()}


@contextlib.contextmanager
def name_runtime_errors(
    what: str = "the model loads, but fails when it is run",
) -> Iterator[None]:
    """Turn the errors that a runtime raises while it works on a model into refusals.

    Raises:
        RefusalError: The runtime refused the model; begins with `what`.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, (RuntimeError, ValueError)) and not _is_of_runtime(
            type(error).__module__
        ):
            raise
        said = str(error).strip()[:_MOST_SAID]
        meaning, hint = explain_model(said)
        message = "{}: {}".format(what, "{} ({})".format(meaning, said) if meaning else said)
        raise RefusalError(MODEL_REFUSED, message, hint) from error
