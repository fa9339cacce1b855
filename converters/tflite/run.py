"""Runs a .tflite on this host: the only import of the runtime in this package."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from converters.errors import ConversionError

Array = npt.NDArray[Any]

#: Reports of progress are worth a line of a terminal, not one a sample.
_REPORT_EVERY = 250

_stderr_lock = threading.Lock()


def host_runtime() -> tuple[str, str]:
    """Name and version of the runtime that `run_model` uses."""
    return "ai-edge-litert", version("ai-edge-litert")


def run_model(
    path: Path,
    inputs: Mapping[str, Array],
    threads: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Array]:
    """Run a .tflite on this host, one sample at a time.

    Args:
        path: The file.
        inputs: Tensor name, as in the file, to an array of shape (n, ...) whose dtype and shape
            past the batch axis are those of the file's input.
        threads: For the runtime, from 1.
        on_progress: Called with samples done and samples in all, now and then.

    Returns:
        Tensor name, as in the file, to an array of shape (n, ...).

    Raises:
        ConversionError: The runtime refuses the file or fails on it, or an input does not fit.
    """
    try:
        interpreter = _load(path, threads)
        slots = _slots(path, interpreter, inputs)
        return _run(interpreter, slots, on_progress)
    except (RuntimeError, ValueError) as error:
        name, number = host_runtime()
        raise ConversionError(
            f"{path}: {name} {number} cannot run it: {error}",
            "Convert the model again, or report it with the model.",
        ) from error


def run_inside(
    content: bytes, batches: Iterable[Mapping[str, Array]], positions: Sequence[int]
) -> Iterator[list[Array]]:
    """Read single tensors of a .tflite while it runs, by the reference of its kernels.

    Args:
        content: A file whose batch is one.
        batches: Name of each input to samples, shape (n, ...), in the type that it takes.
        positions: Positions of tensors in its first subgraph.

    Yields:
        For each sample one array a tensor, in the tensor's shape and type.

    Raises:
        ConversionError: The runtime refuses the file or fails on it.
    """
    try:
        with _quiet_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that keeping all tensors takes memory
            interpreter = Interpreter(
                model_content=content,
                experimental_preserve_all_tensors=True,
                # XNNPACK would compute several ops at once, and keep nothing in between.
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            interpreter.allocate_tensors()
        slots = {detail["name"]: detail["index"] for detail in interpreter.get_input_details()}
        for batch in batches:
            for row in range(len(next(iter(batch.values())))):
                for name, samples in batch.items():
                    interpreter.set_tensor(slots[name], samples[row : row + 1])
                interpreter.invoke()
                yield [interpreter.get_tensor(position) for position in positions]
    except (RuntimeError, ValueError) as error:
        name, number = host_runtime()
        raise ConversionError(
            f"{name} {number} cannot run the model: {error}", "Report it with the model."
        ) from error


def _load(path: Path, threads: int) -> Any:
    with _quiet_stderr():
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
    return interpreter


def _slots(path: Path, interpreter: Any, inputs: Mapping[str, Array]) -> list[tuple[int, Array]]:
    """Index of each input in the interpreter, and its checked samples."""
    details = {detail["name"]: detail for detail in interpreter.get_input_details()}
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
        shape, given_shape = tuple(int(axis) for axis in detail["shape"]), inputs[name].shape
        if (
            shape[:1] != (1,)
            or shape[1:] != given_shape[1:]
            or inputs[name].dtype != detail["dtype"]
        ):
            raise ConversionError(
                f"{path}: input {name} takes {np.dtype(detail['dtype'])} {shape} a sample, was "
                f"given {inputs[name].dtype} {given_shape}",
                "Use golden inputs that were made for this file.",
            )
        slots.append((detail["index"], inputs[name]))
    return slots


def _run(
    interpreter: Any,
    slots: list[tuple[int, Array]],
    on_progress: Callable[[int, int], None] | None,
) -> dict[str, Array]:
    outputs = interpreter.get_output_details()
    total = len(slots[0][1])
    results: dict[str, list[Array]] = {detail["name"]: [] for detail in outputs}
    for done in range(total):
        for index, samples in slots:
            interpreter.set_tensor(index, samples[done : done + 1])
        interpreter.invoke()
        for detail in outputs:
            results[detail["name"]].append(interpreter.get_tensor(detail["index"]))
        if on_progress is not None and (done + 1) % _REPORT_EVERY == 0:
            on_progress(done + 1, total)
    # An output of batch 1 loses that axis; one without a batch axis gains one.
    return {
        name: np.concatenate(rows) if rows[0].shape[:1] == (1,) else np.stack(rows)
        for name, rows in results.items()
    }


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
