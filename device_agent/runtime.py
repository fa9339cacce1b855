"""The TFLite runtime of this process: imported here, and nowhere else.

Only an inference process imports this module, late: a runtime may abort, crash or be killed.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
from typing import Any, Dict, Iterator

from device_agent.contract.codes import BAD_REQUEST, MODEL_REFUSED, RUNTIME_IMPORT, RefusalError
from device_agent.contract.measurement import RUNTIME_MODULES
from device_agent.facts import userland

_FAILS_WHEN_RUN = "the model loads, but fails when it is run"


class Runtime:
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
        with refusals("the runtime refuses the model"):
            return self._interpreter(model_path=model, num_threads=threads)


def _reason(error: Exception) -> str:
    """The line of an import error that says what is wrong; numpy's is an essay around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("Original error was")]
    return (told or lines or [""])[0]


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
        raise RefusalError(MODEL_REFUSED, "{}: {}".format(what, str(error).strip())) from error
