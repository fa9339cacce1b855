"""Outputs of a model for samples that were sent, as the runtime stores them."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Optional

from device_agent.contract.codes import MODEL_REFUSED, RefusalError
from device_agent.contract.tensors import sample_shape
from device_agent.job_fields import Job
from device_agent.runtimes.driver import (
    Array,
    BoardModel,
    import_driver,
    name_runtime_errors,
    run_once,
)
from device_agent.samples.inputs import feeds_of
from device_agent.samples.sample_run import PROGRESS_INTERVAL_S


def infer_samples(job: Job, say: Callable[[Dict[str, Any]], None]) -> Dict[str, Any]:
    """Run a model on samples, one at a time; write each output to a file.

    With `most_s`, only the first samples may be answered: no further one begins after that time, or
    after one whose output has another shape than before.

    Raises:
        RefusalError: The model does not load or run, or the samples do not fit it; without
            `most_s`, also where an output changes its shape.
    """
    driver = import_driver(job, say)
    model = driver.open(job.model, job.threads)
    model.prepare()
    feeds = feeds_of(driver.numpy, model, job.inputs)
    shapes = {tensor.position: tensor.shape for tensor in model.inputs}
    count = len(next(iter(feeds.values())))
    results: Optional[List[Array]] = None
    done, began = 0, time.monotonic()
    reported = began
    for index in range(count):
        model.reset(job.reset)
        for position, values in feeds.items():
            model.put(position, values[index : index + 1].reshape(shapes[position]))
        run_once(model)
        outputs = _take_outputs(model)
        if results is None:  # the shape of some outputs is known only after a run
            results = _empty_results(driver.numpy, outputs, count)
        if [values.shape[1:] for values in results] != [values.shape for values in outputs]:
            if job.most_s:
                break
            message = "an output changes its shape from one sample to the next"
            raise RefusalError(MODEL_REFUSED, message)
        for values, output in zip(results, outputs):
            values[index] = output
        done, now = index + 1, time.monotonic()
        if now - reported > PROGRESS_INTERVAL_S:
            reported = now
            say({"event": {"phase": "infer", "done": done, "total": count}})
        if job.most_s and now - began > job.most_s:
            break
    if results is None:
        empty = [driver.numpy.empty(sample_shape(t.shape), t.dtype) for t in model.outputs]
        results = _empty_results(driver.numpy, empty, 0)
    names = [tensor.name for tensor in model.outputs]
    entries = [
        _write_output("{}.{}".format(job.outputs, number), name, values[:done])
        for number, (name, values) in enumerate(zip(names, results))
    ]
    return {"kernel_class": driver.kernel_class, "samples": done, "outputs": entries}


def _take_outputs(model: BoardModel) -> List[Array]:
    """Return the outputs of the last run, each without its batch axis of 1."""
    with name_runtime_errors():
        values = [model.take(tensor.position) for tensor in model.outputs]
    return [output.reshape(sample_shape(output.shape)) for output in values]


def _empty_results(numpy: Any, outputs: List[Array], count: int) -> List[Array]:
    return [numpy.empty((count,) + output.shape, output.dtype) for output in outputs]


def _write_output(path: str, name: str, values: Array) -> Dict[str, Any]:
    with open(path, "wb") as file:  # unlike tofile(), it says why it cannot be written
        stored = values.astype(values.dtype.newbyteorder("<"), copy=False)
        file.write(stored.tobytes() if not values.size else stored.data)
    shape = [int(size) for size in values.shape]
    return {"name": name, "dtype": values.dtype.name, "shape": shape, "path": path}
