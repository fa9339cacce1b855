"""Numbers near minus infinity in a float .tflite, and the same model without them.

A mask of attention puts -1e9 and the like in the place of scores that softmax is to ignore, and
models from PyTorch pad with minus infinity before max-pooling. A single such number leaves a range
of 8 or 16 bits no step for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.quantize.calibrate import Ranges
from converters.quantize.layer_names import describe_operator
from converters.tflite.unpacked import UnpackedModel

#: Size from which on a constant stands for infinity.
_EXTREME = 1e3
#: Distance below all scores at which a masked score counts nothing: e^-12 is 6e-6.
MARGIN = 12.0
#: Ops that can bring a mask to the scores, or carry the scores on to softmax.
_CARRIERS = ("ADD", "SUB", "MUL", "SELECT", "SELECT_V2", "RESHAPE", "TRANSPOSE", "MINIMUM")
#: Those in which a mask and scores meet.
_MEETINGS = ("ADD", "SUB", "SELECT", "SELECT_V2", "MINIMUM")
#: Ops that give nothing below 0; other kernels can have the last two inside.
_NOT_NEGATIVE = ("LOGISTIC", "SOFTMAX", "RELU", "RELU6")
_RELUS = (schema.ActivationFunctionType.RELU, schema.ActivationFunctionType.RELU6)
_PAD_OPTIONS = schema.BuiltinOptions.PadOptions
_MIRROR_PAD_OPTIONS = schema.BuiltinOptions.MirrorPadOptions
#: Ops that only hand numbers on.
_MOVES = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE", "MAX_POOL_2D", "PAD", "MIRROR_PAD")


@dataclass(frozen=True)
class LimitedMasks:
    """A float .tflite whose masks have numbers of the size of the scores."""

    content: bytes
    """The file."""
    lows: Mapping[str, float] = field(default_factory=dict)
    """Name of each tensor with a mask in it to the number at which its range ends below."""
    notes: tuple[str, ...] = ()
    """Notes for the user, one sentence each."""

    def cut(self, ranges: Ranges) -> dict[int, tuple[float, float]]:
        """Ranges without the numbers that softmax ignores.

        Args:
            ranges: Ranges of the activations of the file, or of one with the same tensors.
        """
        if not self.lows:
            return dict(ranges)
        model = UnpackedModel(self.content)
        return {
            tensor: (max(low, self.lows.get(model.name(tensor), low)), high)
            for tensor, (low, high) in ranges.items()
        }


@dataclass(frozen=True)
class _Cone:
    """Everything that a mask goes through before softmax."""

    softmax: Any
    """The softmax."""
    operators: tuple[Any, ...]
    """Operators between the products of matrices and softmax, the last one first."""
    constants: tuple[int, ...]
    """Stored tensors among their inputs with a number that stands for infinity."""


def limit_masks(
    content: bytes, measure: Callable[[bytes], Ranges], keras_model: Any
) -> LimitedMasks:
    """Replace the numbers with which scores are masked before softmax by numbers of their size.

    Args:
        content: Float .tflite.
        measure: Function that measures the range of every activation of a file.
        keras_model: Keras model that the file was made from, for names in notes, or None.
    """
    model = UnpackedModel(content)
    cones = tuple(_cones(model))
    inputs = {int(i) for cone in cones for op in cone.operators for i in op.inputs}
    if not any(cone.constants for cone in cones) and not inputs & set(model.inputs):
        return LimitedMasks(content)
    ranges = measure(content)
    lows: dict[str, float] = {}
    notes, limit = [], MARGIN
    for cone in cones:
        masked, scores = _masked_and_scores(model, cone, ranges)
        if not masked or not scores:
            continue
        low = min(0.0, *(ranges[tensor][0] for tensor in scores))
        limit = max(limit, max(0.0, *(ranges[i][1] for i in scores)) - low + MARGIN)
        lows |= {model.name(tensor): low - MARGIN for tensor in masked}
        notes.append(
            f"{describe_operator(model, cone.softmax, keras_model)}: scores from {low:.3g} up are "
            f"masked by numbers of the size {_largest(model, cone, ranges):.2g}; their range is "
            f"cut at {low - MARGIN:.3g}, where softmax gives 0 already"
        )
    if not notes:
        return LimitedMasks(content)
    for tensor in {tensor for cone in cones for tensor in cone.constants}:
        values = model.constant(tensor)
        assert values is not None
        model.set_constant(tensor, np.clip(values, -limit, limit))
    for tensor in inputs & set(ranges):
        if ranges[tensor][0] <= -_EXTREME:
            lows.setdefault(model.name(tensor), -limit)
    return LimitedMasks(model.pack(), lows, tuple(notes))


def _cones(model: UnpackedModel) -> Iterator[_Cone]:
    makers = {int(i): op for op in model.operators for i in op.outputs}
    for softmax in model.operators:
        if model.op(softmax) != "SOFTMAX":
            continue
        operators, constants, pending = [], [], [int(softmax.inputs[0])]
        while pending:
            tensor = pending.pop()
            values = model.constant(tensor)
            if values is not None and values.size and np.abs(values).max() >= _EXTREME:
                constants.append(tensor)
            maker = makers.get(tensor)
            if maker is not None and model.op(maker) in _CARRIERS:
                operators.append(maker)
                pending += [int(i) for i in maker.inputs]
        yield _Cone(softmax, tuple(operators), tuple(constants))


def _masked_and_scores(
    model: UnpackedModel, cone: _Cone, ranges: Ranges
) -> tuple[set[int], set[int]]:
    """Tensors of masked scores, and tensors of the scores that a mask meets."""
    masks, masked, scores = set(cone.constants), set[int](), set[int]()
    masks |= {tensor for tensor, (low, _) in ranges.items() if low <= -_EXTREME}
    for operator in reversed(cone.operators):
        inputs, output = {int(i) for i in operator.inputs}, int(operator.outputs[0])
        plain = inputs & set(ranges) - masks
        if not inputs & masks:
            continue
        masks.add(output)
        if model.op(operator) in _MEETINGS and plain:
            masked.add(output)
            scores |= plain
        elif inputs & masked:
            masked.add(output)
    return masked, scores


def _largest(model: UnpackedModel, cone: _Cone, ranges: Ranges) -> float:
    """Largest size of a number that masks."""
    constants = (model.constant(tensor) for tensor in cone.constants)
    lows = (ranges[int(i)][0] for op in cone.operators for i in op.outputs if int(i) in ranges)
    return float(
        max(max((np.abs(c).max() for c in constants if c is not None), default=0), -min(lows))
    )


def replace_pads(content: bytes) -> bytes:
    """Replace pads of minus infinity before max-pooling by pads that change no maximum.

    Where the numbers are not negative, the pad is 0; else it mirrors them. A pad that is at most
    half as wide as the window mirrors only numbers that are in the window anyway.

    Args:
        content: Float .tflite.
    """
    model = UnpackedModel(content)
    makers = {int(i): op for op in model.operators for i in op.outputs}
    count = 0
    for operator in model.operators:
        if _is_extreme_pad(model, operator) and _goes_to_windows(model, operator):
            count += 1
            paddings, value = (int(i) for i in operator.inputs[1:3])
            operator.inputs = operator.inputs[:2]
            if not model.is_taken(value):  # no floats are to stay behind in the file
                model.alias(value, paddings)
            if _is_not_negative(model, makers, int(operator.inputs[0])):
                model.set_op(
                    operator, "PAD", schema.PadOptionsT(), schema.BuiltinOptions.PadOptions
                )
            else:
                options = schema.MirrorPadOptionsT()
                options.mode = schema.MirrorPadMode.SYMMETRIC
                model.set_op(
                    operator, "MIRROR_PAD", options, schema.BuiltinOptions.MirrorPadOptions
                )
    return model.pack() if count else content


def bound_pads(content: bytes, ranges: Ranges) -> tuple[bytes, Ranges]:
    """Let other pads of minus infinity pad with the lowest number of their input.

    Args:
        content: Float .tflite.
        ranges: Ranges of its activations.

    Returns:
        The file, and its ranges.
    """
    model = UnpackedModel(content)
    pads = [op for op in model.operators if _is_extreme_pad(model, op)]
    bounded = dict(ranges)
    for operator in pads:
        value, (low, high) = int(operator.inputs[2]), bounded[int(operator.inputs[0])]
        model.set_constant(value, np.full(model.shape(value), low))
        bounded[int(operator.outputs[0])] = (low, high)
    return (model.pack(), bounded) if pads else (content, ranges)


def _is_extreme_pad(model: UnpackedModel, operator: Any) -> bool:
    if model.op(operator) != "PADV2":
        return False
    value = model.constant(int(operator.inputs[2]))
    return value is not None and bool((value <= -_EXTREME).all())


def _goes_to_windows(model: UnpackedModel, operator: Any) -> bool:
    """Whether only max-pooling takes the output, with windows at least twice as wide as the pad."""
    raw = model.model.buffers[model.tensors[int(operator.inputs[1])].buffer].data
    if raw is None:
        return False
    widest = int(np.frombuffer(bytes(bytearray(raw)), "<i4").max())
    pending, windows = [int(operator.outputs[0])], []
    while pending:
        tensor = pending.pop()
        if tensor in model.outputs:
            return False
        for taker in model.operators:
            if tensor not in map(int, taker.inputs):
                continue
            if model.op(taker) == "MAX_POOL_2D":
                sizes = (taker.builtinOptions.filterHeight, taker.builtinOptions.filterWidth)
                windows.append(min(size for size in sizes if size > 1 or max(sizes) == 1))
            elif model.op(taker) in ("RESHAPE", "EXPAND_DIMS"):
                pending.append(int(taker.outputs[0]))
            else:
                return False
    return bool(windows) and 2 * widest <= min(windows)


def _is_not_negative(model: UnpackedModel, makers: Mapping[int, Any], tensor: int) -> bool:
    maker = makers.get(tensor)
    if maker is None:
        return False
    if model.op(maker) in _MOVES:
        return _is_not_negative(model, makers, int(maker.inputs[0]))
    fused = getattr(maker.builtinOptions, "fusedActivationFunction", 0)
    return model.op(maker) in _NOT_NEGATIVE or fused in _RELUS
