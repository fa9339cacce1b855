"""The whole of one inference as an application does it: real values in, real values out."""

from __future__ import annotations

from typing import Any, Callable

from device_agent.runtimes.driver import Array, BoardModel, TensorInfo


def whole_inference(numpy: Any, model: BoardModel, seed: int) -> Callable[[], None]:
    """Return a call that quantizes, puts the inputs, runs, takes the outputs and dequantizes.

    Each call quantizes the inputs again from float32, ``q = round(real / scale) + zero_point``, and
    turns quantized outputs into float32, ``real = scale * (q - zero_point)``. Tensors that are not
    quantized are put and taken as they are.

    Args:
        numpy: The module.
        model: A prepared model.
        seed: Seed of the random real values.
    """
    random = numpy.random.RandomState(seed)
    feeds = [(tensor.position, _feed(numpy, random, tensor)) for tensor in model.inputs]
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


def _feed(numpy: Any, random: Any, tensor: TensorInfo) -> Callable[[], Array]:
    kind, scale, zero_point = tensor.dtype, tensor.scale, tensor.zero_point
    if not scale or kind.kind not in "iu":
        values = numpy.zeros(tensor.shape, kind)
        return lambda: values
    limits = numpy.iinfo(kind)
    low, high = scale * (limits.min - zero_point), scale * (limits.max - zero_point)
    real = random.uniform(low, high, tensor.shape).astype(numpy.float32)

    def quantize() -> Array:
        steps = numpy.round(real / scale) + zero_point
        return numpy.clip(steps, limits.min, limits.max).astype(kind)

    return quantize
