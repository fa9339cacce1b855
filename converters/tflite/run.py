"""Runs a .tflite on this host: the only import of the runtime in this package."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from converters.deadline import LONGEST_SAMPLE_S, Deadline, endless_sample
from converters.errors import ConversionError
from converters.tflite.state import reset_of
from device_agent.contract.state import KEEP, RELOAD, RESET
from device_agent.contract.tensors import sample_shape, unique_names

Array = npt.NDArray[Any]

_Slot = tuple[int, tuple[int, ...], Array]
"""Index of an input in the interpreter, its shape, and its samples."""

#: Reports of progress are worth a line of a terminal, not one a sample.
_REPORT_EVERY = 250

#: Seconds between two reports of samples that take long: who waits for them sees that they go on.
_REPORT_EVERY_S = 1.0

_stderr_lock = threading.Lock()


def host_runtime() -> tuple[str, str]:
    """Name and version of the runtime that `run_model` uses."""
    return "ai-edge-litert", version("ai-edge-litert")


def run_model(
    path: Path,
    inputs: Mapping[str, Array],
    threads: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
    most_s: float | None = None,
    reset: str = RESET,
) -> dict[str, Array]:
    """Run a .tflite on this host, one sample at a time.

    Args:
        path: The file.
        inputs: Name of each input (`TensorSpec.name`) to an array of shape (n, ...) whose dtype is
            that of the input, and whose shape past the first axis is that of the input, without
            its first axis where that is 1.
        threads: For the runtime, from 1.
        on_progress: Called with samples done and samples in all, now and then.
        most_s: Seconds after which no further sample begins, so that fewer may be answered; the
            last answered one is also the last whose outputs have the shapes of the first. None to
            answer all.
        reset: Way to handle the state before each sample, of `device_agent.contract.state.WAYS`.

    Returns:
        Name of each output (`TensorSpec.name`) to an array of shape (n, ...).

    Raises:
        ConversionError: The runtime refuses the file or fails on it, an input does not fit, or,
            without `most_s`, an output changes its shape.
    """
    try:
        begin = _beginnings(lambda: _load(path, threads), reset)
        slots = _slots(path, begin(), inputs)
        with Deadline(endless_sample(str(path), LONGEST_SAMPLE_S)) as deadline:

            def start() -> Any:
                deadline.set(LONGEST_SAMPLE_S)
                return begin()

            return _run(path, start, slots, on_progress, most_s)
    except (RuntimeError, ValueError) as error:
        name, number = host_runtime()
        raise ConversionError(
            f"{path}: {name} {number} cannot run it: {error}",
            "Convert the model again, or report it with the model.",
        ) from error


def run_inside(
    content: bytes,
    batches: Iterable[Mapping[str, Array]],
    positions: Sequence[int],
    is_stream: bool = False,
) -> Iterator[list[Array]]:
    """Read single tensors of a .tflite while it runs, by the reference of its kernels.

    Args:
        content: A file whose batch is one.
        batches: Name of each input to samples, shape (n, ...), in the type that it takes.
        positions: Positions of tensors in its first subgraph.
        is_stream: Whether the samples are the steps of one stream, and the state is kept.

    Yields:
        For each sample one array a tensor, in the tensor's shape and type.

    Raises:
        ConversionError: The runtime refuses the file or fails on it.
    """
    try:
        reset = KEEP if is_stream else reset_of(schema.Model.GetRootAs(content, 0))
        begin = _beginnings(lambda: _open_inside(content), reset)
        slots = {detail["name"]: detail["index"] for detail in begin().get_input_details()}
        for batch in batches:
            for row in range(len(next(iter(batch.values())))):
                interpreter = begin()
                for name, samples in batch.items():
                    interpreter.set_tensor(slots[name], samples[row : row + 1])
                with Deadline(endless_sample("the model", LONGEST_SAMPLE_S)) as deadline:
                    deadline.set(LONGEST_SAMPLE_S)
                    interpreter.invoke()
                yield [interpreter.get_tensor(position) for position in positions]
    except (RuntimeError, ValueError) as error:
        name, number = host_runtime()
        raise ConversionError(
            f"{name} {number} cannot run the model: {error}", "Report it with the model."
        ) from error


def _open_inside(content: bytes) -> Any:
    with _quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that keeping all tensors takes memory
        interpreter = Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,
            # XNNPACK would compute several ops at once, and keep nothing in between.
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
    return interpreter


def _load(path: Path, threads: int) -> Any:
    file: dict[str, Any] = {"model_path": str(path)}
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:  # the runtime takes no other names of files
        file = {"model_content": path.read_bytes()}
    with _quiet_stderr():
        interpreter = Interpreter(**file, num_threads=threads)
        interpreter.allocate_tensors()
    return interpreter


def _beginnings(load: Callable[[], Any], reset: str) -> Callable[[], Any]:
    """Return a function that gives an interpreter whose state is ready for the next sample."""
    interpreter = load()

    def begin() -> Any:
        nonlocal interpreter
        if reset == RELOAD:
            interpreter = load()
        elif reset == RESET:
            interpreter.reset_all_variables()
        return interpreter

    return begin


def _slots(path: Path, interpreter: Any, inputs: Mapping[str, Array]) -> list[_Slot]:
    """Index and shape of each input in the interpreter, and its checked samples."""
    details = _by_name(interpreter.get_input_details())
    if set(details) != set(inputs):
        raise ConversionError(
            f"{path}: takes the inputs {sorted(details)}, was given {sorted(inputs)}",
            "Use golden inputs that were made for this file.",
        )
    if len({len(samples) for samples in inputs.values()}) != 1:
        raise ConversionError(
            f"{path}: its inputs differ in their number of samples", "Correct them."
        )
    slots = []
    for name, detail in details.items():
        shape, samples = tuple(int(axis) for axis in detail["shape"]), inputs[name]
        if list(samples.shape[1:]) != sample_shape(shape) or samples.dtype != detail["dtype"]:
            raise ConversionError(
                f"{path}: input {name!r} takes {np.dtype(detail['dtype'])} {shape} a sample, was "
                f"given {samples.dtype} {samples.shape}",
                "Use golden inputs that were made for this file.",
            )
        slots.append((detail["index"], shape, samples))
    return slots


def _by_name(details: Sequence[Any]) -> dict[str, Any]:
    """Details of the inputs (or the outputs) of an interpreter by their unique names."""
    names = unique_names([detail["name"] for detail in details])
    return dict(zip(names, details, strict=True))


def _run(
    path: Path,
    begin: Callable[[], Any],
    slots: list[_Slot],
    on_progress: Callable[[int, int], None] | None,
    most_s: float | None,
) -> dict[str, Array]:
    total = len(slots[0][2])
    results: dict[str, Array] = {}
    done, began = 0, time.monotonic()
    reported = began
    for row in range(total):
        interpreter = begin()
        for index, shape, samples in slots:
            interpreter.set_tensor(index, samples[row : row + 1].reshape(shape))
        interpreter.invoke()
        for name, detail in _by_name(interpreter.get_output_details()).items():
            values = interpreter.get_tensor(detail["index"])
            values = values.reshape(sample_shape(values.shape))
            if name not in results:
                results[name] = np.empty((total, *values.shape), values.dtype)
            stored = results[name]
            if stored.shape[1:] != values.shape:
                if most_s is not None:
                    return {key: of_all[:done] for key, of_all in results.items()}
                raise ConversionError(
                    f"{path}: output {name!r} changes its shape from one sample to the next: "
                    f"{list(stored.shape[1:])}, then {list(values.shape)}",
                    "Use a model whose outputs have fixed shapes.",
                )
            stored[row] = values
        done, now = row + 1, time.monotonic()
        is_due = done % _REPORT_EVERY == 0 or now - reported > _REPORT_EVERY_S
        if on_progress is not None and is_due:
            reported = now
            on_progress(done, total)
        if most_s is not None and now - began > most_s:
            break
    return {name: values[:done] for name, values in results.items()}


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keep the runtime's "INFO:" lines, written by C++, off the terminal; let the rest through."""
    with _stderr_lock, tempfile.TemporaryFile() as log:
        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            log.seek(0)
            for line in log:
                if not line.startswith(b"INFO:"):
                    os.write(2, line)
