"""Rules of operators over height and width: pooling, padding, resizing."""

from __future__ import annotations

from math import prod

import numpy as np

from converters.graph.builder import Ref
from converters.graph.tflite.kernels import places, window_of
from converters.graph.tflite.operator import FileOperator, Rule, integers
from converters.graph.tflite.value import Shape, Value

_SYMMETRIC = 1
Sides = tuple[tuple[int, int], ...]


def _pool(op: str) -> Rule:
    def read(operator: FileOperator) -> Value:
        source, window = operator.image(0), window_of(operator)
        pool = operator.option("filterHeight"), operator.option("filterWidth")
        if min(pool) < 1:
            raise ValueError(f"the window is {pool}")
        channels = source.shape[-1:]
        if op == "average_pool" and pool == source.shape[:2] and window["padding"] == "valid":
            plain = {"keepdims": False, "rank": 2}
            answer = operator.add("global_average_pool", (source,), channels, plain)
            return operator.finish(answer, (1, 1, 1, *channels))
        area = tuple(
            places(*axis, window["padding"])
            for axis in zip(source.shape[:2], pool, window["strides"], strict=True)
        )
        answer = operator.add(op, (source,), (*area, *channels), {"pool": pool, **window})
        return operator.finish(answer, (1, *answer.shape))

    return read


def _pad(operator: FileOperator) -> Value:
    value, sides = operator.floats(0), _sides(operator)
    number = operator.optional(2)
    fill = 0.0 if number is None else float(number.reshape(-1)[0])
    return _padded(operator, value, sides, fill)


def _sides(operator: FileOperator) -> Sides:
    widths = integers(operator.constant(1))
    sides = tuple(zip(widths[::2], widths[1::2], strict=True))
    if len(sides) != len(operator.value(0).shape) or min(widths) < 0:
        raise ValueError(f"a padding of {sides} for {operator.value(0).shape}")
    return sides


def _padded(operator: FileOperator, value: Value, sides: Sides, fill: float) -> Value:
    op = "constant_pad" if fill else "zero_pad"
    attributes = {"value": fill} if fill else {}
    shape = tuple(before + n + after for n, (before, after) in zip(value.shape, sides, strict=True))
    is_image = len(value.shape) == 4 and value.has_batch and not any(map(any, sides[::3]))
    if is_image:
        plain = {"padding": sides[1:3], **attributes}
        return Value(operator.add(op, (value.ref,), shape[1:], plain), shape)
    ref, current = value.ref, value.shape
    for axis, side in enumerate(sides):  # an image whose width is the axis
        if not any(side):
            continue
        size = current[axis] + sum(side)
        before, after = prod(current[:axis]), prod(current[axis + 1 :])
        image = operator.reshape(ref, (before, current[axis], after))
        plain = {"padding": ((0, 0), side), **attributes}
        ref = operator.add(op, (image,), (before, size, after), plain)
        current = (*current[:axis], size, *current[axis + 1 :])
    return operator.finish(ref, shape)


def _mirror_pad(operator: FileOperator) -> Value:
    value, sides = operator.floats(0), _sides(operator)
    if not value.has_batch or len(sides) not in (3, 4) or any(map(any, (sides[0], sides[-1]))):
        raise operator.refusal(f"it pads other axes than height and width, by {sides}")
    mode = "symmetric" if operator.option("mode") == _SYMMETRIC else "reflect"
    limit = 0 if mode == "symmetric" else 1
    shape = tuple(before + n + after for n, (before, after) in zip(value.shape, sides, strict=True))
    for size, side in zip(value.shape, sides, strict=True):
        if max(side) > size - limit and any(side):
            raise ValueError(f"a padding of {side} for {size} places")
    image: Ref = value.ref
    places_of_image, padding = shape[1:], sides[1:-1]
    if len(sides) == 3:
        image = operator.reshape(image, (value.shape[1], 1, value.shape[2]))
        places_of_image, padding = (shape[1], 1, shape[2]), (*padding, (0, 0))
    plain = {"padding": padding, "mode": mode}
    return operator.finish(operator.add("mirror_pad", (image,), places_of_image, plain), shape)


def _resize(interpolation: str) -> Rule:
    def read(operator: FileOperator) -> Value:
        source, size = operator.image(0), integers(operator.constant(1))
        height, width = size
        if min(size) < 1:
            raise ValueError(f"the size is {size}")
        shape = (height, width, source.shape[-1])
        options = operator.options
        if size == source.shape[:2]:
            return Value(source, (1, *shape))
        factors = tuple(new // old for new, old in zip(size, source.shape[:2], strict=True))
        is_whole = tuple(np.multiply(factors, source.shape[:2])) == size
        if interpolation == "nearest" and is_whole and not options.alignCorners:
            plain = {"size": factors, "interpolation": "nearest"}
            return Value(operator.add("upsample", (source,), shape, plain), (1, *shape))
        if options.alignCorners or not options.halfPixelCenters:
            raise operator.refusal(
                f"it resizes {source.shape[:2]} to {size} without half-pixel centres"
            )
        attributes = {"height": height, "width": width, "interpolation": interpolation}
        return Value(operator.add("resize", (source,), shape, attributes), (1, *shape))

    return read


def _depth_to_space(operator: FileOperator) -> Value:
    source, block = operator.image(0), operator.option("blockSize")
    height, width, channels = source.shape
    if block < 1 or channels % (block * block):
        raise ValueError(f"{channels} channels for blocks of {block}")
    depth = channels // (block * block)
    apart = operator.reshape(source, (height, width, block, block, depth))
    turned = (height, block, width, block, depth)
    answer = operator.add("permute", (apart,), turned, {"dims": (1, 3, 2, 4, 5)})
    return operator.finish(answer, (1, height * block, width * block, depth))


def _space_to_depth(operator: FileOperator) -> Value:
    source, block = operator.image(0), operator.option("blockSize")
    height, width, channels = source.shape
    if block < 1 or height % block or width % block:
        raise ValueError(f"an image of {height}x{width} for blocks of {block}")
    rows, columns = height // block, width // block
    apart = operator.reshape(source, (rows, block, columns, block, channels))
    turned: Shape = (rows, columns, block, block, channels)
    answer = operator.add("permute", (apart,), turned, {"dims": (1, 3, 2, 4, 5)})
    return operator.finish(answer, (1, rows, columns, block * block * channels))


#: Rules of operators over height and width.
WINDOW_RULES: dict[str, Rule] = {
    "MAX_POOL_2D": _pool("max_pool"),
    "AVERAGE_POOL_2D": _pool("average_pool"),
    "PAD": _pad,
    "PADV2": _pad,
    "MIRROR_PAD": _mirror_pad,
    "RESIZE_BILINEAR": _resize("bilinear"),
    "RESIZE_NEAREST_NEIGHBOR": _resize("nearest"),
    "DEPTH_TO_SPACE": _depth_to_space,
    "SPACE_TO_DEPTH": _space_to_depth,
}
