"""The whole of one inference as an application does it: real values in, real values out."""

from __future__ import annotations

from typing import Any, Callable, Dict

from device_agent.runtimes.driver import Array, BoardModel, TensorInfo
from device_agent.timing.random_inputs import random_values


def whole_inference(
    numpy: Any, model: BoardModel, seed: int, plain: Dict[int, Array]
) -> Callable[[], None]:
    """Return a call that quantizes, puts the inputs, runs, takes the outputs and dequantizes.

    Each call quantizes the inputs again from float32, ``q = round(real / scale) + zero_point``, and
    turns quantized outputs into float32, ``real = scale * (q - zero_point)``. Tensors that are not
    quantized are put and taken as they are.

    Args:
        numpy: The module.
        model: A prepared model.
        seed: Seed of the random real values.
        plain: Values of each input that is not quantized, by its position.
    """
    random = numpy.random.RandomState(seed)
    feeds = [(tensor.position, _feed(numpy, random, tensor, plain)) for tensor in model.inputs]
    fetches = [(tensor.position, tensor.scale, tensor.zero_point) for tensor in model.outputs]
    put, run, take = model.put, model.run, model.take

    def call() -> None:
        for position, make in feeds:
            put(position, make())
        run()
        for position, scale, zero_point in fetches:
            values = take(position)
            if scale:
                _ = scale * (values.astype(numpy.float32) - zero_point)

    return call


def _feed(
    numpy: Any, random: Any, tensor: TensorInfo, plain: Dict[int, Array]
) -> Callable[[], Array]:
    kind, scale, zero_point = tensor.dtype, tensor.scale, tensor.zero_point
    if tensor.position in plain:
        values = plain[tensor.position]
        return lambda: values
    limits = numpy.iinfo(kind)
    low, high = scale * (limits.min - zero_point), scale * (limits.max - zero_point)
    real = random_values(numpy, random, tensor.shape, numpy.float32, (low, high))

    def quantize() -> Array:
        steps = numpy.round(real / scale) + zero_point
        return numpy.clip(steps, limits.min, limits.max).astype(kind)

    return quantize
