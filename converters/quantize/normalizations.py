"""Normalizations over a sample (layer, group, RMS, unit) in a float .tflite.

TensorFlow's converter writes such a layer as a chain around a reciprocal square root. Its variances
spread over many orders of magnitude, of which steps of 8 bits leave nothing, and NEG and SQUARE
have no integer kernels. All operators of the chain therefore stay in floats together: one
conversion before it, one behind it.
"""

from __future__ import annotations

from collections.abc import Iterator

from converters.tflite.unpacked import UnpackedModel

#: Ops between the variance and its reciprocal square root.
_OF_VARIANCE = ("ADD", "SUB", "MUL", "MAXIMUM", "SQUARE", "RESHAPE")
#: Ops that reduce the input to a statistic.
_STATISTICS = ("MEAN", "SUM")
#: Ops that make the squares of which the variance is the mean.
_SQUARES = ("SQUARED_DIFFERENCE", "SQUARE", "MUL")
#: Ops between the reciprocal square root and the output.
_BEHIND = ("MUL", "NEG", "SUB", "ADD", "MINIMUM", "RESHAPE")


def find_normalizations(model: UnpackedModel) -> tuple[tuple[int, ...], ...]:
    """Find the operators of each normalization.

    Args:
        model: Float .tflite.

    Returns:
        Positions of the operators of each normalization, in the order of execution.
    """
    makers = {int(out): n for n, op in enumerate(model.operators) for out in op.outputs}
    chains: list[set[int]] = []
    for position, operator in enumerate(model.operators):
        if model.op(operator) == "RSQRT":
            chain = {position, *_statistics(model, makers, position)}
            if len(chain) > 1:
                chains.append(_with_output(model, chain))
    return tuple(tuple(sorted(chain)) for chain in chains)


def float_names(model: UnpackedModel) -> tuple[str, ...]:
    """Names of the output tensors of all operators of normalizations."""
    positions = (n for chain in find_normalizations(model) for n in chain)
    return tuple(model.name(int(model.operators[n].outputs[0])) for n in positions)


def _statistics(model: UnpackedModel, makers: dict[int, int], root: int) -> Iterator[int]:
    """Operators between the input of a normalization and its reciprocal square root, backwards."""

    def before(position: int, *kinds: str) -> Iterator[int]:
        for tensor in map(int, model.operators[position].inputs):
            maker = makers.get(tensor)
            if maker is not None and model.op(model.operators[maker]) in kinds:
                yield maker

    pending = [root]
    while pending:
        current = pending.pop()
        for operator in before(current, *_OF_VARIANCE):
            yield operator
            pending.append(operator)
        for variance in before(current, *_STATISTICS):
            yield variance
            for squares in before(variance, *_SQUARES):
                yield squares
                yield from before(squares, *_STATISTICS)
                for difference in before(squares, "SUB"):
                    yield difference
                    yield from before(difference, *_STATISTICS)


def _with_output(model: UnpackedModel, chain: set[int]) -> set[int]:
    """The chain with the operators behind it that take nothing but its numbers and its input."""
    results = {int(i) for n in chain for i in model.operators[n].outputs}
    own = results | {int(i) for n in chain for i in model.operators[n].inputs}
    chain = set(chain)
    for position, operator in enumerate(model.operators):
        inputs = {int(i) for i in operator.inputs}
        belongs = all(i in own or model.is_stored(i) for i in inputs)
        if model.op(operator) in _BEHIND and belongs and results & inputs:
            chain.add(position)
            results |= {int(i) for i in operator.outputs}
            own |= results
    return _without_last_reshapes(model, chain)


def _without_last_reshapes(model: UnpackedModel, chain: set[int]) -> set[int]:
    """The chain without operators at its end that only hand the output on, such as a Flatten."""
    taken = {int(i) for n in chain for i in model.operators[n].inputs}
    last = {
        n
        for n in chain
        if model.op(model.operators[n]) == "RESHAPE"
        and not taken & set(map(int, model.operators[n].outputs))
    }
    return _without_last_reshapes(model, chain - last) if last else chain
