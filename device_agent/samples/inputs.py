"""Inputs of a model: the samples that were sent."""

from __future__ import annotations

from typing import Any, Dict, Sequence

from device_agent.contract.codes import BAD_REQUEST, RefusalError
from device_agent.runtimes.driver import Array, BoardModel


def feeds_of(numpy: Any, model: BoardModel, inputs: Sequence[Dict[str, Any]]) -> Dict[int, Array]:
    """Read the samples that were sent for each input.

    Args:
        numpy: The module.
        model: A prepared model.
        inputs: `name`, `dtype` and `path` of the file of each input.

    Returns:
        Samples by the position of the input, in its dtype and of shape `(samples, *shape)`, where
        `shape` is that of the input: one model input (batch 1) a sample.

    Raises:
        RefusalError: The files do not fit the model's inputs, or have different sample counts.
    """
    files = {entry["name"]: entry for entry in inputs}
    names = [tensor.name for tensor in model.inputs]
    if not names or set(files) - set(names):
        message = "the model has the inputs {}, values were sent for {}"
        raise RefusalError(BAD_REQUEST, message.format(names, sorted(files)))
    feeds = {}
    for tensor in model.inputs:
        entry = files.get(tensor.name)
        if entry is None:
            message = "no values were sent for input {!r}"
            raise RefusalError(BAD_REQUEST, message.format(tensor.name))
        if entry["dtype"] != tensor.dtype.name:
            message = "input {!r} takes {}, {} was sent"
            message = message.format(tensor.name, tensor.dtype.name, entry["dtype"])
            raise RefusalError(BAD_REQUEST, message)
        values = numpy.fromfile(entry["path"], tensor.dtype.newbyteorder("<"))
        values = values.astype(tensor.dtype, copy=False)
        try:
            feeds[tensor.position] = values.reshape([-1, *tensor.shape])
        except ValueError as error:
            message = "{} values do not fill inputs of shape {}"
            message = message.format(values.size, list(tensor.shape))
            raise RefusalError(BAD_REQUEST, message) from error
    if len({len(values) for values in feeds.values()}) > 1:
        counts = ", ".join(str(len(values)) for values in feeds.values())
        raise RefusalError(BAD_REQUEST, "the inputs have different sample counts: " + counts)
    return feeds
