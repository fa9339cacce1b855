"""The whole way of a real sample, as `model.toml` says it: preprocess, quantize, invoke, answer."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any, BinaryIO, Callable, Dict, Iterable, List

from device_agent.contract.codes import BAD_REQUEST, RefusalError
from device_agent.contract.model_card import ImageInput, ModelCard, card_from_plain
from device_agent.runtimes.runtime import Runtime, allocate, invoke, refusals
from device_agent.samples.postprocess import answer
from device_agent.samples.preprocess import preprocess
from device_agent.timing.usage import peak_rss_bytes

#: An array of numbers; numpy itself comes from the runtime, because only a job may import it.
Array = Any

#: How often a long job says how far it is.
PROGRESS_INTERVAL_S = 0.5


def run_samples(job: Dict[str, Any], say: Callable[[Dict[str, Any]], None]) -> Dict[str, Any]:
    """Run samples one by one; write what each became to the file `answers` of the job.

    Raises:
        RefusalError: The model does not load or run, or a sample does not fit it.
    """
    runtime = Runtime(job)
    interpreter = runtime.open(job["model"], job["threads"])
    allocate(interpreter)
    walk = _Walk(runtime.numpy, interpreter, card_from_plain(job["card"]))
    answers = []
    told = time.monotonic()
    with contextlib.ExitStack() as files:
        kept = _Kept(runtime.numpy, interpreter, job["outputs"], files)
        for done, sample in enumerate(job["samples"]):
            answers.append(walk.one(sample["inputs"], kept))
            if time.monotonic() - told > PROGRESS_INTERVAL_S:
                told = time.monotonic()
                say({"event": {"phase": "run", "done": done + 1, "total": len(job["samples"])}})
    with open(job["answers"], "w", encoding="ascii") as file:  # many of them outgrow a line
        json.dump(answers, file)
    return {
        "kernel_class": runtime.kernel_class,
        "peak_rss_bytes": peak_rss_bytes(),
        "outputs": kept.entries(len(answers)),
    }


class _Walk:
    """A model that is ready, and what its inputs and outputs mean."""

    def __init__(self, numpy: Any, interpreter: Any, card: ModelCard) -> None:
        self._numpy = numpy
        self._interpreter = interpreter
        self._card = card
        self._inputs = {detail["name"]: detail for detail in interpreter.get_input_details()}
        self._outputs = interpreter.get_output_details()

    def one(self, entries: List[Dict[str, Any]], kept: _Kept) -> Dict[str, Any]:
        """Return the answer to one sample by output, and the nanoseconds of each stage."""
        names = sorted(entry["name"] for entry in entries)
        if names != sorted(self._inputs):
            message = "the model has the inputs {}, values were sent for {}"
            raise RefusalError(BAD_REQUEST, message.format(sorted(self._inputs), names))
        given = [(self._inputs[entry["name"]], self._read(entry)) for entry in entries]
        began = time.perf_counter_ns()
        real = [(detail, self._prepared(detail, values)) for detail, values in given]
        prepared = time.perf_counter_ns()
        for detail, values in real:
            stored = quantize(self._numpy, values, detail)
            self._interpreter.set_tensor(detail["index"], stored.reshape(detail["shape"]))
        quantized = time.perf_counter_ns()
        invoke(self._interpreter)
        invoked = time.perf_counter_ns()
        outputs, answers = [], {}
        with refusals():
            for detail in self._outputs:
                values = self._interpreter.get_tensor(detail["index"])
                outputs.append(dequantize(self._numpy, values, detail))
                name = detail["name"]
                answers[name] = answer(self._numpy, outputs[-1], self._card.output(name))
        ended = time.perf_counter_ns()
        kept.add(outputs)
        times = {
            "preprocess": prepared - began,
            "quantize": quantized - prepared,
            "invoke": invoked - quantized,
            "postprocess": ended - invoked,
        }
        return {"outputs": answers, "times_ns": times}

    def _read(self, entry: Dict[str, Any]) -> Array:
        """Map or read a file; what an application has in memory is no part of the times."""
        numpy, detail = self._numpy, self._inputs[entry["name"]]
        picture = isinstance(self._card.input(entry["name"]), ImageInput)
        kind = numpy.dtype("uint8" if picture else _array_kind(numpy, detail))
        if entry["dtype"] != kind.name:
            message = "input {} is sent as {}, found {}"
            raise RefusalError(
                BAD_REQUEST, message.format(entry["name"], kind.name, entry["dtype"])
            )
        shape = entry["shape"] if picture else [int(size) for size in detail["shape"]]
        if picture and (len(shape) != 3 or shape[2] != 3 or min(shape) < 1):
            message = "a picture has the shape [height, width, 3], found {}"
            raise RefusalError(BAD_REQUEST, message.format(shape))
        values = numpy.fromfile(entry["path"], kind.newbyteorder("<")).astype(kind, copy=False)
        try:
            return values.reshape(shape)
        except ValueError as error:
            message = "{} values do not fill the shape {}".format(values.size, shape)
            raise RefusalError(BAD_REQUEST, message) from error

    def _prepared(self, detail: Dict[str, Any], values: Array) -> Array:
        to = self._card.input(detail["name"])
        if not isinstance(to, ImageInput):
            return values
        real = preprocess(self._numpy, values, to)
        if real.size != int(self._numpy.prod(detail["shape"])):
            message = "input {} has the shape {}, pictures of {} were declared"
            shapes = [[int(size) for size in shape] for shape in (detail["shape"], real.shape)]
            raise RefusalError(BAD_REQUEST, message.format(detail["name"], *shapes))
        return real


class _Kept:
    """The outputs of all samples, one file each; nothing where nobody wants them."""

    def __init__(
        self, numpy: Any, interpreter: Any, prefix: str, files: contextlib.ExitStack
    ) -> None:
        self._details = interpreter.get_output_details() if prefix else []
        self._numpy = numpy
        self._paths = ["{}.{}".format(prefix, n) for n in range(len(self._details))]
        self._files: List[BinaryIO] = [
            files.enter_context(open(path, "wb"))  # noqa: SIM115 - closed with the others
            for path in self._paths
        ]
        self._likes: List[Array] = []

    def add(self, outputs: List[Array]) -> None:
        """Append the outputs of one sample."""
        if not self._files:
            return
        if self._likes and [v.shape for v in self._likes] != [v.shape for v in outputs]:
            message = "an output changes its shape from one sample to the next: it cannot be kept"
            raise RefusalError(BAD_REQUEST, message)
        self._likes = self._likes or outputs
        for file, values in zip(self._files, outputs):
            file.write(values.astype(values.dtype.newbyteorder("<")).tobytes())

    def entries(self, samples: int) -> List[Dict[str, Any]]:
        """What was kept, in the form of an inference's outputs."""
        return [
            {
                "name": detail["name"],
                "dtype": values.dtype.name,
                "shape": [samples] + sample_shape(values.shape),
                "path": path,
            }
            for detail, path, values in zip(self._details, self._paths, self._likes)
        ]


def quantize(numpy: Any, real: Array, detail: Dict[str, Any]) -> Array:
    """Turn real values into what an input stores: ``round(real / scale) + zero``, clipped.

    Half rounds to even, as in `converters.tflite.quantization`.
    """
    kind = numpy.dtype(detail["dtype"])
    scale, zero = detail["quantization"]
    if kind.kind not in "iu" or real.dtype.kind != "f":
        return real.astype(kind)
    steps = numpy.round(real / numpy.float32(scale) if scale else real) + int(zero)
    limits = numpy.iinfo(kind)
    return numpy.clip(steps, limits.min, limits.max).astype(kind)


def dequantize(numpy: Any, values: Array, detail: Dict[str, Any]) -> Array:
    """Turn what an output stores into real values, float32: ``scale * (q - zero)``."""
    scale, zero = detail["quantization"]
    if scale and values.dtype.kind in "iu":
        return (values.astype(numpy.float32) - int(zero)) * numpy.float32(scale)
    return values.astype(numpy.float32) if values.dtype.kind == "f" else values


def _array_kind(numpy: Any, detail: Dict[str, Any]) -> str:
    """In which type an array is sent: real values as float32, whole numbers as they are stored."""
    kind = numpy.dtype(detail["dtype"])
    real = kind.kind == "f" or (kind.kind in "iu" and detail["quantization"][0])
    return "float32" if real else str(kind.name)


def sample_shape(shape: Iterable[int]) -> List[int]:
    """Return the shape of one sample: without its batch axis of 1, where it has one."""
    sizes = [int(size) for size in shape]
    return sizes[1:] if sizes[:1] == [1] else sizes
