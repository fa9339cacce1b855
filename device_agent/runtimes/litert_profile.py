"""Asks ai-edge-litert how long each step of an inference takes.

Its Python interpreter has no profiler; the C library beside it has one (`litert_profiler.h`), which
also looks into XNNPACK. Its events are structs that changed between releases, so its summary is
read instead, a text; each run is summarized alone, so that a median can be had.
"""

from __future__ import annotations

import ctypes
import os
import re
from typing import Any, Dict, List

from device_agent.contract.codes import MODEL_REFUSED, RefusalError
from device_agent.contract.placement import BUILTIN, XNNPACK
from device_agent.job_fields import Job
from device_agent.runtimes.imported import ImportedRuntime
from device_agent.runtimes.profile import (
    TimedStep,
    interruptions,
    no_profile,
    sample_runs,
    summarize_runs,
)

#: The releases whose C functions take the arguments used here; others may crash on them.
_KNOWN = ("ai-edge-litert", "2.3.")

_LIBRARY = "libLiteRt.so"
_CPU = 1  # kLiteRtHwAcceleratorCpu
_WRITE = 1  # kLiteRtTensorBufferLockModeWrite
_SHAPE_BYTES = 1024  # more than a LiteRtRankedTensorType takes

#: `node type, start, first, avg ms, %, cdf %, mem KB, times called, name` of a summary.
_ROW = re.compile(
    r"\s*(\S.*?)\s+[\d.]+\s+[\d.]+\s+([\d.]+)\s+[\d.]+%\s+[\d.]+%\s+[\d.]+\s+\d+\s+(\S.*?)\s*\Z"
)
_DELEGATED = "Delegate/"

#: Functions that fail on files which the runtime itself may well run, and what that means.
_FAILURES = {
    "LiteRtCreateModelFromFile": "does not read this file: it takes no LSTM and no variables",
    "LiteRtCreateCompiledModel": "does not prepare this file: it takes no custom operators",
    "LiteRtCreateManagedTensorBufferFromRequirements": (
        "has no room for its inputs or outputs: their sizes are open, or a custom operator sets "
        "them"
    ),
    "LiteRtCompiledModelResizeInputTensor": "cannot set the open sizes of an input to 1",
}


def profile_litert(driver: ImportedRuntime, job: Job) -> Dict[str, Any]:
    """Run a model on its CPU kernels for a while, and report the median of each step.

    Args:
        driver: Imported TFLite runtime.
        job: The job, with `model` and `duration_s`.

    Returns:
        The fields of `OpTimes`.
    """
    if driver.needs_delegate(job.model):
        return no_profile("its delegate reports no times of single operators")
    if driver.name != _KNOWN[0] or not driver.version.startswith(_KNOWN[1]):
        name = "{} {}".format(driver.name, driver.version)
        return no_profile("{} does not report them; ai-edge-litert 2.3 does".format(name))
    path = os.path.join(driver.folder, _LIBRARY)
    if not os.path.exists(path):
        return no_profile("this build of the runtime has no {}".format(_LIBRARY))
    driver.say({"event": {"phase": "profile"}})
    model = _ProfiledModel(ctypes.CDLL(path), job.model)
    runs = sample_runs(model.run, model.run_profiled, job.duration_s)
    return summarize_runs(runs, [read_summary(text) for text in model.summaries])


def read_summary(text: str) -> List[TimedStep]:
    """Read the steps of a summary, in the order in which they ran."""
    _, _, table = text.partition("Run Order")
    steps = []
    for line in table.partition("Top by Computation Time")[0].splitlines():
        found = _ROW.match(line)
        if found:
            op, milliseconds = found.group(1), float(found.group(2))
            executor = BUILTIN
            if op.startswith(_DELEGATED):
                op, executor = op[len(_DELEGATED) :], XNNPACK
            steps.append(TimedStep(op, executor, round(milliseconds * 1000, 3)))
    return steps


class _ProfiledModel:
    """A model in the C library, with its profiler on; the process ends before it is freed."""

    def __init__(self, library: ctypes.CDLL, model: str) -> None:
        self._library = library
        self._environment = self._create("LiteRtCreateEnvironment", ctypes.c_int(0), None)
        path = ctypes.c_char_p(os.fsencode(model))
        self._model = self._create("LiteRtCreateModelFromFile", self._environment, path)
        options = self._create("LiteRtCreateOptions")
        self._call("LiteRtSetOptionsHardwareAccelerators", options, ctypes.c_int(_CPU))
        self._call("LiteRtAddOpaqueOptions", options, self._profiling_option())
        self._compiled = self._create(
            "LiteRtCreateCompiledModel", self._environment, self._model, options
        )
        self._signature = self._create("LiteRtGetModelSignature", self._model, ctypes.c_size_t(0))
        self._inputs, self._outputs = self._buffers("Input"), self._buffers("Output")
        self._profiler = self._create("LiteRtCompiledModelGetProfiler", self._compiled)
        self.summaries: List[str] = []
        """Text of the profiler about each profiled run."""

    def run(self) -> None:
        """Run the model once."""
        self._call(
            "LiteRtRunCompiledModel",
            self._compiled,
            ctypes.c_size_t(0),
            ctypes.c_size_t(len(self._inputs)),
            self._inputs,
            ctypes.c_size_t(len(self._outputs)),
            self._outputs,
        )

    def run_profiled(self) -> bool:
        """Run the model once with its profiler; return whether that run was interrupted."""
        self._call("LiteRtResetProfiler", self._profiler)
        self.run()
        self._call("LiteRtStartProfiler", self._profiler)
        before = interruptions()
        self.run()
        was_interrupted = interruptions() != before
        self._call("LiteRtStopProfiler", self._profiler)
        text = self._create("LiteRtGetProfileSummary", self._profiler, self._compiled)
        summary = ctypes.cast(text, ctypes.c_char_p).value or b""
        free = ctypes.CDLL(None).free
        free.argtypes = [ctypes.c_void_p]
        free(text)
        self.summaries.append(summary.decode("utf-8", "replace"))
        return was_interrupted

    def _profiling_option(self) -> ctypes.c_void_p:
        self._payload = ctypes.create_string_buffer(b"enable_profiling = true\n")
        self._keep = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)
        return self._create(
            "LiteRtCreateOpaqueOptions",
            ctypes.c_char_p(b"runtime_options_string"),
            ctypes.cast(self._payload, ctypes.c_void_p),
            self._keep,
        )

    def _buffers(self, kind: str) -> Any:
        """A buffer of zeros for each input or output."""
        count = ctypes.c_size_t()
        self._call("LiteRtGetNumSignature{}s".format(kind), self._signature, ctypes.byref(count))
        buffers = (ctypes.c_void_p * count.value)()
        for index in range(count.value):
            number = ctypes.c_size_t(index)
            tensor = self._create(
                "LiteRtGetSignature{}TensorByIndex".format(kind), self._signature, number
            )
            shape = ctypes.create_string_buffer(_SHAPE_BYTES)
            self._call("LiteRtGetRankedTensorType", tensor, shape)
            sizes = _close_axes(shape)
            if sizes is not None and kind == "Input":
                self._call(
                    "LiteRtCompiledModelResizeInputTensor",
                    self._compiled,
                    ctypes.c_size_t(0),
                    number,
                    sizes,
                    ctypes.c_size_t(len(sizes)),
                )
            needs = self._create(
                "LiteRtGetCompiledModel{}BufferRequirements".format(kind),
                self._compiled,
                ctypes.c_size_t(0),
                number,
            )
            buffer = self._create(
                "LiteRtCreateManagedTensorBufferFromRequirements", self._environment, shape, needs
            )
            self._zero(buffer)
            buffers[index] = buffer
        return buffers

    def _zero(self, buffer: ctypes.c_void_p) -> None:
        size, address = ctypes.c_size_t(), ctypes.c_void_p()
        self._call("LiteRtGetTensorBufferSize", buffer, ctypes.byref(size))
        self._call("LiteRtLockTensorBuffer", buffer, ctypes.byref(address), ctypes.c_int(_WRITE))
        ctypes.memset(address, 0, size.value)
        self._call("LiteRtUnlockTensorBuffer", buffer)

    def _create(self, function: str, *arguments: Any) -> ctypes.c_void_p:
        """Call a function that hands out a pointer through its last argument."""
        pointer = ctypes.c_void_p()
        self._call(function, *arguments, ctypes.byref(pointer))
        return pointer

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._library, function)(*arguments)
        if status != 0:
            message = "the profiler of ai-edge-litert {} ({} failed with {})"
            what = _FAILURES.get(function, "cannot run this file")
            raise RefusalError(MODEL_REFUSED, message.format(what, function, status))


def _close_axes(shape: Any) -> Any:
    """Set the open axes of a LiteRtRankedTensorType to 1; return its sizes if there were any.

    The struct has the element type, the rank in 7 bits, and then the sizes, each in 32 bits.
    """
    words = ctypes.cast(shape, ctypes.POINTER(ctypes.c_int32))
    rank = words[1] & 0x7F
    sizes = [words[2 + axis] for axis in range(rank)]
    if not any(size < 0 for size in sizes):
        return None
    for axis, size in enumerate(sizes):
        words[2 + axis] = 1 if size < 0 else size
    return (ctypes.c_int32 * rank)(*(max(1, size) for size in sizes))
