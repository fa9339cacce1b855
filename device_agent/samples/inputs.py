"""What goes into a model on the board: random values, or samples that were sent."""

from __future__ import annotations

from typing import Any, Dict, Sequence

from device_agent.contract.codes import BAD_REQUEST, MODEL_REFUSED, RefusalError
from device_agent.runtimes.driver import Array, BoardModel


def fill_inputs(numpy: Any, model: BoardModel, seed: int) -> None:
    """Give every input reproducible random values over the range of its type.

    Raises:
        RefusalError: An input is of a type for which there are no random values.
    """
    random = numpy.random.RandomState(seed)
    for tensor in model.inputs:
        kind = tensor.dtype
        if kind.kind == "f":
            values = random.uniform(-1, 1, tensor.shape)
        elif kind.kind == "b":
            values = random.randint(0, 2, tensor.shape)
        elif kind.kind not in "iu":
            message = "input {} is of type {}: kedge has no values for it"
            raise RefusalError(MODEL_REFUSED, message.format(tensor.name, kind.name))
        else:
            limits = numpy.iinfo(kind)
            values = random.uniform(limits.min, limits.max, tensor.shape)
        model.put(tensor.position, values.astype(kind))


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
            message = "no values were sent for input {}"
            raise RefusalError(BAD_REQUEST, message.format(tensor.name))
        if entry["dtype"] != tensor.dtype.name:
            message = "input {} takes {}, {} was sent"
            message = message.format(tensor.name, tensor.dtype.name, entry["dtype"])
            raise RefusalError(BAD_REQUEST, message)
        values = numpy.fromfile(entry["path"], tensor.dtype.newbyteorder("<")).astype(tensor.dtype)
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
