"""From what a model's output holds to an answer, as `model.toml` says it."""

from __future__ import annotations

from typing import Any, Dict

from device_agent.contract.model_card import CLASSIFICATION, MOST_VALUES, REGRESSION, Output

#: An array of numbers; numpy itself comes as an argument, because only a job may import it.
Array = Any


def answer(numpy: Any, real: Array, output: Output) -> Dict[str, Any]:
    """Say what one output means.

    A single score s of a classification stands for two classes, of 1 - s and s.

    Args:
        numpy: The module.
        real: Real values of the output, float32, of any shape; a classification takes all of them
            as the scores of classes.
        output: Meaning of the output.

    Returns:
        `classes`: [number, score] of the best `top_k` that reach the threshold, best first, and
        `best`, the first of all; or `values`, all numbers; or `shape`, `min`, `max` and `mean` of a
        raw array.
    """
    real = _activated(numpy, real, output.activation)
    if output.task == REGRESSION:
        return {"values": [_plain(value) for value in real.reshape(-1)[:MOST_VALUES]]}
    if output.task != CLASSIFICATION:
        return _likeness(numpy, real)
    scores = real.reshape(-1)
    if scores.size == 1:
        scores = numpy.concatenate([1 - scores, scores])
    order = numpy.argsort(-scores, kind="stable")[: output.top_k]
    ranked = [[int(number), _plain(scores[number])] for number in order]
    reached = [entry for entry in ranked if (entry[1] or 0.0) >= output.threshold]
    return {"classes": reached, "best": ranked[0]}


def _activated(numpy: Any, real: Array, activation: str) -> Array:
    """Apply an activation; in float32 neither overflows."""
    if activation == "softmax":
        powers = numpy.exp(real - real.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)
    if activation == "sigmoid":
        # exp() of a negative number only: each branch is the exact one for its sign.
        small = numpy.exp(-abs(real))
        return numpy.where(real >= 0, 1 / (1 + small), small / (1 + small))
    return real


def _likeness(numpy: Any, values: Array) -> Dict[str, Any]:
    shape = [int(size) for size in values.shape]
    if not values.size:
        return {"shape": shape}
    figures = {"min": values.min(), "max": values.max(), "mean": values.mean(dtype=numpy.float64)}
    return dict({name: _plain(value) for name, value in figures.items()}, shape=shape)


def _plain(value: Any) -> Any:
    """A number for JSON, which knows neither NaN nor infinity: they become null."""
    number = float(value)
    return number if abs(number) < float("inf") else None
