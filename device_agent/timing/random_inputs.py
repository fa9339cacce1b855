"""Random inputs of a model whose time is measured."""

from __future__ import annotations

from typing import Any, Callable, Dict, Sequence, Tuple

from device_agent.contract.codes import MODEL_REFUSED, RefusalError
from device_agent.contract.tensors import INTEGER_RANGES
from device_agent.runtimes.driver import Array, BoardModel

#: Random values that are drawn at once: numpy draws them in 64 bits.
_DRAWN_AT_ONCE = 1 << 18


def random_values(
    numpy: Any, random: Any, shape: Sequence[int], kind: Any, limits: Tuple[float, float]
) -> Array:
    """Draw random values, a part at a time, so that few of them are in memory in 64 bits.

    Args:
        numpy: The module.
        random: A `numpy.random.RandomState`.
        shape: Shape of the result.
        kind: Dtype of the result: floats, or whole numbers.
        limits: Lowest and highest value.

    Returns:
        Array of `shape` and `kind`.
    """
    values = numpy.empty(shape, kind)
    flat = values.reshape(-1)
    for start in range(0, flat.size, _DRAWN_AT_ONCE):
        part = flat[start : start + _DRAWN_AT_ONCE]
        part[...] = random.uniform(limits[0], limits[1], part.size)
    return values


def fill_inputs(
    numpy: Any, model: BoardModel, seed: int, integers: Tuple[int, int]
) -> Dict[int, Array]:
    """Give every input reproducible random values.

    Floats are from -1 to 1. Quantized numbers are of the whole range of their type.

    Args:
        numpy: The module.
        model: A prepared model.
        seed: Seed of the values.
        integers: Lowest and highest value of whole numbers without a scale.

    Returns:
        Values of each input that is not quantized, by its position.

    Raises:
        RefusalError: An input is of a type for which there are no random values.
    """
    random = numpy.random.RandomState(seed)
    plain = {}
    for tensor in model.inputs:
        kind = tensor.dtype
        if kind.kind == "b":
            values = numpy.asarray(random.randint(0, 2, tensor.shape)).astype(kind)
        elif kind.kind == "f":
            values = random_values(numpy, random, tensor.shape, kind, (-1, 1))
        elif kind.kind not in "iu":
            message = "input {!r} is of type {}: kedge has no values for it"
            raise RefusalError(MODEL_REFUSED, message.format(tensor.name, kind.name))
        elif tensor.scale:
            limits = numpy.iinfo(kind)
            values = random_values(numpy, random, tensor.shape, kind, (limits.min, limits.max))
        else:
            values = random.randint(integers[0], integers[1] + 1, tensor.shape)
            values = numpy.asarray(values).astype(kind)
        model.put(tensor.position, values)
        if not (tensor.scale and kind.kind in "iu"):
            plain[tensor.position] = values
    return plain


def fill_and_run(
    numpy: Any, model: BoardModel, seed: int, integers: Sequence[int], run: Callable[[], None]
) -> Dict[int, Array]:
    """Give every input random values with which the model runs, and run it.

    Args:
        numpy: The module.
        model: A prepared model.
        seed: Seed of the values.
        integers: Lowest and highest value of whole numbers without a scale, where the host knows
            them; empty to try `INTEGER_RANGES`.
        run: Runs the model; called once for each range that is tried.

    Returns:
        Values of each input that is not quantized, by its position.

    Raises:
        RefusalError: An input is of a type for which there are no random values, or the model fails
            with the values of every range.
    """
    ranges = [(integers[0], integers[1])] if integers else list(INTEGER_RANGES)
    if not any(tensor.dtype.kind in "iu" and not tensor.scale for tensor in model.inputs):
        ranges = ranges[:1]
    for number, limits in enumerate(ranges):
        plain = fill_inputs(numpy, model, seed, limits)
        try:
            run()
            break
        except RefusalError:
            if number == len(ranges) - 1:
                raise
    return plain
