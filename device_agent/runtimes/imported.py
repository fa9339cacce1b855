"""What the drivers of all runtimes that are Python packages share: the import, and its faults."""

from __future__ import annotations

import abc
import importlib
import os
import sys
import time
from typing import Any, Dict, Sequence

from device_agent.board.board_runtimes import package_version
from device_agent.board.facts import userland
from device_agent.board.pseudo_files import text_of
from device_agent.contract.codes import BAD_REQUEST, RUNTIME_IMPORT, RefusalError
from device_agent.contract.cpu_features import cpu_features
from device_agent.contract.runtimes import RUNTIME_MODULES, distribution_of
from device_agent.job_fields import IMPORT_PHASE, Job
from device_agent.runtimes.driver import ModelDriver, Say


class ImportedRuntime(ModelDriver):
    """An imported Python package that runs models."""

    #: Name of the accelerator that computes with it; empty for none.
    accelerator = ""

    def __init__(self, job: Job, say: Say) -> None:
        """Import the runtime that a job names; see `import_driver`.

        Raises:
            RefusalError: The runtime does not load on this board.
        """
        self.say = say
        self.name = job.runtime
        keep_to_cores(job.cores)
        name = RUNTIME_MODULES[distribution_of(self.name)]
        self._package = name.split(".")[0]
        if job.tree:
            sys.path.insert(0, job.tree)
        say({"event": {"phase": IMPORT_PHASE}})
        started = time.perf_counter_ns()
        try:
            self.numpy = importlib.import_module("numpy")
            self.take_module(importlib.import_module(name))
        except Exception as error:  # a lying wheel may raise anything while it is imported
            message = "{} does not load here: {}: {}".format(
                self.name, type(error).__name__, _reason(error)
            )
            raise RefusalError(RUNTIME_IMPORT, message, _import_hint(error)) from error
        self.import_ns = time.perf_counter_ns() - started

    @abc.abstractmethod
    def take_module(self, module: Any) -> None:
        """Keep the names of the imported module that the driver calls; may raise anything."""

    @property
    def kernel_class(self) -> Dict[str, str]:
        """The fields of `device_agent.contract.measurement.KernelClass`."""
        return kernel_fields(self.name, self.version, self.accelerator)

    @property
    def folder(self) -> str:
        """Folder of the runtime's package."""
        return os.path.dirname(getattr(sys.modules[self._package], "__file__", None) or "")

    @property
    def version(self) -> str:
        """Version that the package reports, or its metadata; else `unknown`."""
        version = getattr(sys.modules[self._package], "__version__", "")
        if version:
            return str(version)
        return package_version(self._package, os.path.dirname(self.folder))


def kernel_fields(runtime: str, version: str, accelerator: str) -> Dict[str, str]:
    """Return the fields of `device_agent.contract.measurement.KernelClass` on this board."""
    return {
        "machine": userland(os.uname().machine, 64 if sys.maxsize > 2**32 else 32),
        "runtime": runtime,
        "version": version,
        "delegate": accelerator,
        "cpu_features": " ".join(cpu_features(text_of("/", "proc/cpuinfo"))),
    }


def keep_to_cores(cores: Sequence[int]) -> None:
    """Keep this process, and all threads that it will start, to some cores; empty for all.

    Raises:
        RefusalError: The board has no such cores.
    """
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
    origins = [line for line in lines if line.startswith("Original error was")]
    return (origins or lines or [""])[0]


def _import_hint(error: Exception) -> str:
    """The next step; a shared object that the kernel does not map is no fault of the wheel."""
    refusals = ("failed to map segment", "Permission denied", "not permitted")
    if any(refusal in str(error) for refusal in refusals):
        return (
            "Is the folder mounted noexec, or does SELinux or AppArmor forbid its shared objects? "
            "Name another folder as `root` of this target in kedge.toml."
        )
    return "Run `kedge target check` for what this board can load."
