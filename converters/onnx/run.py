"""Runs a finished .onnx on this host."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.errors import ConversionError
from converters.onnx.runtime import import_onnxruntime, onnxruntime_version
from device_agent.contract.state import RELOAD, RESET
from device_agent.contract.tensors import sample_shape, unique_names

Array = npt.NDArray[Any]

#: Reports of progress are worth a line of a terminal, not one a sample.
_REPORT_EVERY = 250
#: Seconds between two reports of samples that take long: who waits for them sees that they go on.
_REPORT_EVERY_S = 1.0
#: Messages of this severity and above are written: errors, which are raised too.
_FATAL = 4
_DTYPES = {"float": "float32", "double": "float64"}


def run_onnx_model(
    path: Path,
    inputs: Mapping[str, Array],
    on_progress: Callable[[int, int], None] | None = None,
    most_s: float | None = None,
    reset: str = RESET,
) -> dict[str, Array]:
    """Run an .onnx on this host, one sample at a time, by one thread.

    Args:
        path: The file.
        inputs: Name of each input (`TensorSpec.name`) to an array of shape (n, ...) whose dtype is
            that of the input, and whose shape past the first axis is that of the input, without
            its first axis where that is 1.
        on_progress: Called with samples done and samples in all, now and then.
        most_s: Seconds after which no further sample begins, so that fewer may be answered; None to
            answer all.
        reset: Way to handle the state before each sample, of `device_agent.contract.state.WAYS`.

    Returns:
        Name of each output (`TensorSpec.name`) to an array of shape (n, ...).

    Raises:
        MissingConvertExtraError: ONNX Runtime is not installed.
        ConversionError: The runtime refuses the file or fails on it, an input does not fit, or an
            output changes its shape.
    """
    session = _open(path)
    feeds = _feeds(path, session, inputs)
    names = unique_names([output.name for output in session.get_outputs()])
    total = len(next(iter(inputs.values())))
    results: dict[str, Array] = {}
    done, began = 0, time.monotonic()
    reported = began
    for row in range(total):
        if reset == RELOAD and row:
            session = _open(path)
        feed = {name: x[row : row + 1].reshape(shape) for name, shape, x in feeds}
        for name, values in zip(names, _answers(path, session, feed), strict=True):
            sample = values.reshape(sample_shape(values.shape))
            if name not in results:
                results[name] = np.empty((total, *sample.shape), sample.dtype)
            if results[name].shape[1:] != sample.shape:
                if most_s is not None:
                    return {key: of_all[:done] for key, of_all in results.items()}
                raise _changed_shape(path, name, results[name].shape[1:], sample.shape)
            results[name][row] = sample
        done, now = row + 1, time.monotonic()
        if on_progress is not None and (
            done % _REPORT_EVERY == 0 or now - reported > _REPORT_EVERY_S
        ):
            reported = now
            on_progress(done, total)
        if most_s is not None and now - began > most_s:
            break
    return {name: values[:done] for name, values in results.items()}


def _changed_shape(
    path: Path, name: str, first: tuple[int, ...], other: tuple[int, ...]
) -> ConversionError:
    return ConversionError(
        f"{path}: output {name!r} changes its shape from one sample to the next: {list(first)}, "
        f"then {list(other)}",
        "Use a model whose outputs have fixed shapes.",
    )


def _open(path: Path) -> Any:
    """Open a session; open axes get the size 1."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    file: Any = str(path)
    try:
        file.encode("utf-8")
    except UnicodeEncodeError:  # the runtime takes no other names of files
        file = path.read_bytes()
    try:
        session = onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])
        free = {axis for entry in session.get_inputs() for axis in entry.shape
                if isinstance(axis, str)}  # fmt: skip
        if free:
            for name in free:
                options.add_free_dimension_override_by_name(name, 1)
            session = onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])
    except Exception as error:  # of C++: its classes have no common base of their own
        raise _refused(path, error) from error
    return session


def _answers(path: Path, session: Any, feed: Mapping[str, Array]) -> list[Array]:
    try:
        answers = session.run(None, feed)
    except Exception as error:  # of C++: its classes have no common base of their own
        raise _refused(path, error) from error
    if not all(isinstance(values, np.ndarray) for values in answers):
        raise ConversionError(
            f"{path}: answers with something that is no array", "Use a model of tensors."
        )
    return list(answers)


def _refused(path: Path, error: Exception) -> ConversionError:
    lines = str(error).strip().splitlines()
    name, number = onnxruntime_version()
    return ConversionError(
        f"{path}: {name} {number} cannot run it: {lines[0] if lines else type(error).__name__}",
        "Export the model again, or report it with the model.",
    )


def _feeds(
    path: Path, session: Any, inputs: Mapping[str, Array]
) -> list[tuple[str, tuple[int, ...], Array]]:
    """Name of each input in the file, its shape, and its checked samples."""
    entries = session.get_inputs()
    names = unique_names([entry.name for entry in entries])
    if set(names) != set(inputs):
        raise ConversionError(
            f"{path}: takes the inputs {sorted(names)}, was given {sorted(inputs)}",
            "Use golden inputs that were made for this file.",
        )
    if len({len(samples) for samples in inputs.values()}) != 1:
        raise ConversionError(
            f"{path}: its inputs differ in their number of samples", "Correct them."
        )
    feeds = []
    for name, entry in zip(names, entries, strict=True):
        samples = inputs[name]
        shape = tuple(axis if isinstance(axis, int) and axis > 0 else 1 for axis in entry.shape)
        plain = entry.type.removeprefix("tensor(").removesuffix(")")
        dtype = _DTYPES.get(plain, plain)
        if list(samples.shape[1:]) != sample_shape(shape) or str(samples.dtype) != dtype:
            raise ConversionError(
                f"{path}: input {name!r} takes {dtype} {shape} a sample, was given "
                f"{samples.dtype} {samples.shape}",
                "Use golden inputs that were made for this file.",
            )
        feeds.append((entry.name, shape, samples))
    return feeds
