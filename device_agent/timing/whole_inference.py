"""The whole way of one inference, as an application walks it: real values in, real values out."""

from __future__ import annotations

from typing import Any, Callable, Tuple


def whole_inference(numpy: Any, interpreter: Any, seed: int) -> Callable[[], None]:
    """Return a call that quantizes, sets the inputs, invokes, gets the outputs and dequantizes.

    A quantized input is made anew from float32 in every call, ``q = round(real / scale) + zero``,
    and a quantized output becomes float32, ``real = scale * (q - zero)``; others are set and got.

    Args:
        numpy: The module.
        interpreter: With its tensors allocated.
        seed: Of the values.
    """
    random = numpy.random.RandomState(seed)
    feeds = [_feed(numpy, random, detail) for detail in interpreter.get_input_details()]
    fetches = [_quantization(detail) for detail in interpreter.get_output_details()]

    def call() -> None:
        for index, make in feeds:
            interpreter.set_tensor(index, make())
        interpreter.invoke()
        for index, scale, zero in fetches:
            values = interpreter.get_tensor(index)
            if scale:
                _ = scale * (values.astype(numpy.float32) - zero)

    return call


def _feed(numpy: Any, random: Any, detail: Any) -> Tuple[int, Callable[[], Any]]:
    index, scale, zero = _quantization(detail)
    kind = numpy.dtype(detail["dtype"])
    if not scale or kind.kind not in "iu":
        values = numpy.zeros(detail["shape"], kind)
        return index, lambda: values
    limits = numpy.iinfo(kind)
    low, high = scale * (limits.min - zero), scale * (limits.max - zero)
    real = random.uniform(low, high, detail["shape"]).astype(numpy.float32)

    def quantize() -> Any:
        return numpy.clip(numpy.round(real / scale) + zero, limits.min, limits.max).astype(kind)

    return index, quantize


def _quantization(detail: Any) -> Tuple[int, float, int]:
    """Index, scale and zero point; a scale of 0 stands for a tensor that is not quantized."""
    scale, zero = detail["quantization"]
    return int(detail["index"]), float(scale), int(zero)
