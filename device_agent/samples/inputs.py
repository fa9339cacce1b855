"""What goes into a model on the board: random values, or samples that were sent."""

from __future__ import annotations

from typing import Any, Dict, List

from device_agent.contract.codes import BAD_REQUEST, MODEL_REFUSED, RefusalError


def fill_inputs(numpy: Any, interpreter: Any, seed: int) -> None:
    """Give every input reproducible random values over the range of its type."""
    random = numpy.random.RandomState(seed)
    for detail in interpreter.get_input_details():
        kind = numpy.dtype(detail["dtype"])
        if kind.kind == "f":
            values = random.uniform(-1, 1, detail["shape"])
        elif kind.kind == "b":
            values = random.randint(0, 2, detail["shape"])
        elif kind.kind not in "iu":
            message = "input {} is of type {}: kedge has no values for it"
            raise RefusalError(MODEL_REFUSED, message.format(detail["name"], kind.name))
        else:
            limits = numpy.iinfo(kind)
            values = random.uniform(limits.min, limits.max, detail["shape"])
        interpreter.set_tensor(detail["index"], values.astype(kind))


def feeds_of(numpy: Any, interpreter: Any, inputs: List[Dict[str, Any]]) -> Dict[int, Any]:
    """Map each input tensor's index to its samples, one model input (batch 1) a sample."""
    files = {entry["name"]: entry for entry in inputs}
    names = [detail["name"] for detail in interpreter.get_input_details()]
    if not names or set(files) - set(names):
        message = "the model has the inputs {}, values were sent for {}"
        raise RefusalError(BAD_REQUEST, message.format(names, sorted(files)))
    feeds = {}
    for detail in interpreter.get_input_details():
        entry = files.get(detail["name"])
        if entry is None:
            raise RefusalError(
                BAD_REQUEST, "no values were sent for input {}".format(detail["name"])
            )
        kind = numpy.dtype(detail["dtype"])
        shape = [-1] + [int(size) for size in detail["shape"]]
        if entry["dtype"] != kind.name:
            message = "input {} takes {}, {} was sent"
            raise RefusalError(
                BAD_REQUEST, message.format(detail["name"], kind.name, entry["dtype"])
            )
        values = numpy.fromfile(entry["path"], kind.newbyteorder("<")).astype(kind)
        try:
            feeds[detail["index"]] = values.reshape(shape)
        except ValueError as error:
            message = "{} values do not fill inputs of shape {}".format(values.size, shape[1:])
            raise RefusalError(BAD_REQUEST, message) from error
    if len({len(values) for values in feeds.values()}) > 1:
        counts = ", ".join(str(len(values)) for values in feeds.values())
        raise RefusalError(BAD_REQUEST, "the inputs have different sample counts: " + counts)
    return feeds
