"""The whole of one inference on a real sample: preprocess, quantize, run, answer.

What the steps do is said by `model.toml`.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any, BinaryIO, Callable, Dict, List

from device_agent.contract.codes import BAD_REQUEST, RefusalError
from device_agent.contract.model_card import ImageInput, ModelCard, card_from_plain
from device_agent.contract.tensors import sample_shape
from device_agent.job_fields import Job
from device_agent.runtimes.driver import (
    Array,
    BoardModel,
    TensorInfo,
    import_driver,
    name_runtime_errors,
    run_once,
)
from device_agent.samples.postprocess import answer
from device_agent.samples.preprocess import preprocess
from device_agent.timing.usage import peak_rss_bytes

#: How often a long job says how far it is.
PROGRESS_INTERVAL_S = 0.5


def run_samples(job: Job, say: Callable[[Dict[str, Any]], None]) -> Dict[str, Any]:
    """Run samples one by one; write what each became to the file `answers` of the job.

    Raises:
        RefusalError: The model does not load or run, or a sample does not fit it.
    """
    driver = import_driver(job, say)
    model = driver.open(job.model, job.threads)
    model.prepare()
    pipeline = _Pipeline(driver.numpy, model, card_from_plain(job.card), job.reset)
    answers = []
    reported = time.monotonic()
    with contextlib.ExitStack() as files:
        output_files = _OutputFiles(model.outputs if job.outputs else [], job.outputs, files)
        for done, sample in enumerate(job.samples):
            answers.append(pipeline.run(sample["inputs"], output_files))
            if time.monotonic() - reported > PROGRESS_INTERVAL_S:
                reported = time.monotonic()
                say({"event": {"phase": "run", "done": done + 1, "total": len(job.samples)}})
    with open(job.answers, "w", encoding="ascii") as file:  # many of them outgrow a line
        json.dump(answers, file)
    return {
        "kernel_class": driver.kernel_class,
        "peak_rss_bytes": peak_rss_bytes(),
        "outputs": output_files.entries(len(answers)),
    }


class _Pipeline:
    """A model that is ready, and the meaning of its inputs and outputs."""

    def __init__(self, numpy: Any, model: BoardModel, card: ModelCard, reset: str) -> None:
        self._numpy = numpy
        self._model = model
        self._card = card
        self._reset = reset
        self._inputs = {tensor.name: tensor for tensor in model.inputs}
        self._outputs = model.outputs

    def run(self, entries: List[Dict[str, Any]], output_files: _OutputFiles) -> Dict[str, Any]:
        """Return the answer to one sample by output, and the nanoseconds of each stage."""
        names = sorted(entry["name"] for entry in entries)
        if names != sorted(self._inputs):
            message = "the model has the inputs {}, values were sent for {}"
            raise RefusalError(BAD_REQUEST, message.format(sorted(self._inputs), names))
        samples = [(self._inputs[entry["name"]], self._read(entry)) for entry in entries]
        self._model.reset(self._reset)
        began = time.perf_counter_ns()
        real = [(tensor, self._preprocess(tensor, values)) for tensor, values in samples]
        preprocessed = time.perf_counter_ns()
        for tensor, values in real:
            stored = quantize_input(self._numpy, values, tensor)
            self._model.put(tensor.position, stored.reshape(tensor.shape))
        quantized = time.perf_counter_ns()
        run_once(self._model)
        inferred = time.perf_counter_ns()
        outputs, answers = [], {}
        with name_runtime_errors():
            for tensor in self._outputs:
                values = self._model.take(tensor.position)
                outputs.append(dequantize_output(self._numpy, values, tensor))
                output = self._card.output(tensor.name)
                answers[tensor.name] = answer(self._numpy, outputs[-1], output)
        ended = time.perf_counter_ns()
        output_files.add(outputs)
        times = {
            "preprocess": preprocessed - began,
            "quantize": quantized - preprocessed,
            "invoke": inferred - quantized,
            "postprocess": ended - inferred,
        }
        return {"outputs": answers, "times_ns": times}

    def _read(self, entry: Dict[str, Any]) -> Array:
        """Read a file; an application has these values in memory, so no stage includes this."""
        numpy, tensor = self._numpy, self._inputs[entry["name"]]
        picture = isinstance(self._card.input(tensor.name), ImageInput)
        kind = numpy.dtype("uint8" if picture else _array_kind(tensor))
        if entry["dtype"] != kind.name:
            message = "input {!r} is sent as {}, found {}"
            raise RefusalError(BAD_REQUEST, message.format(tensor.name, kind.name, entry["dtype"]))
        shape = entry["shape"] if picture else list(tensor.shape)
        if picture and (len(shape) != 3 or shape[2] != 3 or min(shape) < 1):
            message = "a picture has the shape [height, width, 3], found {}"
            raise RefusalError(BAD_REQUEST, message.format(shape))
        values = numpy.fromfile(entry["path"], kind.newbyteorder("<")).astype(kind, copy=False)
        try:
            return values.reshape(shape)
        except ValueError as error:
            message = "{} values do not fill the shape {}".format(values.size, shape)
            raise RefusalError(BAD_REQUEST, message) from error

    def _preprocess(self, tensor: TensorInfo, values: Array) -> Array:
        to = self._card.input(tensor.name)
        if not isinstance(to, ImageInput):
            return values
        real = preprocess(self._numpy, values, to)
        if real.size != int(self._numpy.prod(tensor.shape)):
            message = "input {!r} has the shape {}, pictures of {} were declared"
            shapes = [list(tensor.shape), [int(size) for size in real.shape]]
            raise RefusalError(BAD_REQUEST, message.format(tensor.name, *shapes))
        return real


class _OutputFiles:
    """One file for each output, with the values of all samples."""

    def __init__(self, tensors: List[TensorInfo], prefix: str, files: contextlib.ExitStack) -> None:
        self._tensors = tensors
        self._paths = ["{}.{}".format(prefix, number) for number in range(len(tensors))]
        self._files: List[BinaryIO] = [
            files.enter_context(open(path, "wb"))  # noqa: SIM115 - closed with the others
            for path in self._paths
        ]
        self._first: List[Array] = []

    def add(self, outputs: List[Array]) -> None:
        """Append the outputs of one sample."""
        if not self._files:
            return
        if self._first and [v.shape for v in self._first] != [v.shape for v in outputs]:
            message = "an output changes its shape from one sample to the next: it cannot be kept"
            raise RefusalError(BAD_REQUEST, message)
        self._first = self._first or outputs
        for file, values in zip(self._files, outputs):
            file.write(values.astype(values.dtype.newbyteorder("<")).tobytes())

    def entries(self, samples: int) -> List[Dict[str, Any]]:
        """Return name, dtype, shape and path of each file, as an inference does."""
        return [
            {
                "name": tensor.name,
                "dtype": values.dtype.name,
                "shape": [samples] + sample_shape(values.shape),
                "path": path,
            }
            for tensor, path, values in zip(self._tensors, self._paths, self._first)
        ]


def quantize_input(numpy: Any, real: Array, tensor: TensorInfo) -> Array:
    """Turn real values into those that an input stores: ``round(real / scale) + zero_point``.

    Halves are rounded to even, as `converters.tflite.quantization` does it, and the steps are
    clipped to the range of the input's dtype.

    Args:
        numpy: The module.
        real: Real values of any shape: float32, or already in the input's dtype.
        tensor: The input.

    Returns:
        Array of the shape of `real`, of the input's dtype.
    """
    kind = tensor.dtype
    if kind.kind not in "iu" or real.dtype.kind != "f":
        return real.astype(kind)
    scaled = real / numpy.float32(tensor.scale) if tensor.scale else real
    steps = numpy.round(scaled) + tensor.zero_point
    limits = numpy.iinfo(kind)
    return numpy.clip(steps, limits.min, limits.max).astype(kind)


def dequantize_output(numpy: Any, values: Array, tensor: TensorInfo) -> Array:
    """Turn the values that an output stores into real ones: ``scale * (q - zero_point)``.

    Args:
        numpy: The module.
        values: Values of any shape, of the output's dtype.
        tensor: The output.

    Returns:
        Array of the shape of `values`: float32, or `values` where they are whole numbers or truth
        values without a scale.
    """
    if tensor.scale and values.dtype.kind in "iu":
        steps = values.astype(numpy.float32) - tensor.zero_point
        return steps * numpy.float32(tensor.scale)
    return values.astype(numpy.float32) if values.dtype.kind == "f" else values


def _array_kind(tensor: TensorInfo) -> str:
    """Name of the dtype in which an array is sent: float32 for real values, else the stored one."""
    kind = tensor.dtype
    real = kind.kind == "f" or (kind.kind in "iu" and tensor.scale)
    return "float32" if real else str(kind.name)
