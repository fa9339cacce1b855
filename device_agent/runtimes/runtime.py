"""The TFLite runtime of this process: imported here, and nowhere else.

Only an inference process imports this module, late: a runtime may abort, crash or be killed.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
from typing import Any, Callable, Dict, Iterator, List, Optional

from device_agent.board.facts import userland
from device_agent.board.pseudo_files import text_of
from device_agent.contract.codes import BAD_REQUEST, MODEL_REFUSED, RUNTIME_IMPORT, RefusalError
from device_agent.contract.cpu_features import cpu_features
from device_agent.contract.measurement import to_json
from device_agent.contract.placement import Placement
from device_agent.contract.runtimes import RUNTIME_MODULES, distribution_of
from device_agent.runtimes.board_runtimes import package_version
from device_agent.runtimes.delegate import EDGETPU, is_compiled_for_edgetpu, load_delegate
from device_agent.runtimes.delegate_faults import explain_model
from device_agent.runtimes.placement import node_count, nodes_of, place

_FAILS_WHEN_RUN = "the model loads, but fails when it is run"

Say = Callable[[Dict[str, Any]], None]


class Runtime:
    """An imported TFLite runtime, and the delegate that goes with it."""

    def __init__(self, job: Dict[str, Any], say: Optional[Say] = None) -> None:
        """Import the runtime that a job names.

        Args:
            job: `runtime`, the `tree` of its wheels (empty for the board's own), and where they
                are given `delegate`, `allow_cpu` and `cores`.
            say: Takes an event when something begins that may crash.

        Raises:
            RefusalError: It does not load here.
        """
        self._say = say or (lambda _: None)
        self._name = job["runtime"]
        self._wanted_delegate = job.get("delegate", "")
        self._delegate_name = os.path.basename(self._wanted_delegate)
        self._allow_cpu = bool(job.get("allow_cpu"))
        self._delegate: Any = None
        self._opened = 0
        distribution = distribution_of(self._name)
        if distribution not in RUNTIME_MODULES:
            raise RefusalError(BAD_REQUEST, "unknown runtime {!r}".format(self._name))
        _keep_to(job.get("cores") or [])
        self._module = RUNTIME_MODULES[distribution]
        if job["tree"]:
            sys.path.insert(0, job["tree"])
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
        """The fields of `KernelClass`."""
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
        """Where the package of the runtime lies."""
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
            RefusalError: It does not load; says why.
        """
        if not self._wanted_delegate or self._delegate is not None:
            return
        if self._load_delegate is None:
            message = "{} has no function that loads a delegate".format(self._name)
            raise RefusalError(RUNTIME_IMPORT, message, "Choose another `runtime` in kedge.toml.")
        self._say({"event": {"phase": "load the delegate " + self._delegate_name}})
        name = "{} {}".format(self._name, self._version())
        self._delegate = load_delegate(self._load_delegate, self._wanted_delegate, name)

    def open(self, model: str, threads: int) -> Any:
        """Build an interpreter, which reads and verifies the model; on the delegate, if any.

        Raises:
            RefusalError: The runtime refuses the model, or the delegate does not load.
        """
        if self.needs_delegate(model):
            self.prepare_delegate()
        self._say({"event": {"phase": "load the model"}})
        more = {} if self._delegate is None else {"experimental_delegates": [self._delegate]}
        with refusals("the runtime refuses the model"):
            interpreter = self._interpreter(model_path=model, num_threads=threads, **more)
        self._opened = node_count(interpreter)
        return interpreter

    def placement(self, interpreter: Any) -> Optional[Dict[str, Any]]:
        """The fields of `Placement` of a prepared interpreter; `None` where it is not told."""
        nodes = nodes_of(interpreter)
        if nodes is None:
            return None
        delegate = self._delegate_name if self._delegate is not None else ""
        return to_json(Placement(place(nodes, self._opened, delegate), delegate))

    def needs_delegate(self, model: str) -> bool:
        """Whether a model runs on the delegate that the job names, or may run without it."""
        on_cpu = self._allow_cpu and self._wanted_delegate == EDGETPU
        return bool(self._wanted_delegate) and not (on_cpu and not is_compiled_for_edgetpu(model))


def _keep_to(cores: List[int]) -> None:
    """Keep this process, and all threads that it will start, to some cores."""
    if not cores:
        return
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:
        there = sorted(os.sched_getaffinity(0))
        message = "the board cannot run on the cores {}, it has {}".format(cores, there)
        raise RefusalError(BAD_REQUEST, message, "Mend `cores` in kedge.toml.") from error


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


def allocate(interpreter: Any) -> None:
    """Give the tensors memory, which also prepares the operators."""
    with refusals("the runtime cannot prepare the model"):
        interpreter.allocate_tensors()


def invoke(interpreter: Any) -> None:
    """Run the model once."""
    with refusals():
        interpreter.invoke()


@contextlib.contextmanager
def refusals(what: str = _FAILS_WHEN_RUN) -> Iterator[None]:
    """Name what a runtime raises while it works on a model."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        said = str(error).strip()
        known, hint = explain_model(said)
        message = "{}: {}".format(what, "{} ({})".format(known, said) if known else said)
        raise RefusalError(MODEL_REFUSED, message, hint) from error
