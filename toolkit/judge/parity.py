"""Whether a board computes what the host computes, judged by kernel class. Pure.

Within one class (architecture, CPU features, runtime and version) outputs must be equal to the
last bit. Across classes rounding differs, so the question becomes statistical: over enough real
inputs the decisions must agree, and the accuracy must not move.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np

from converters.judge.paired import paired_interval
from device_agent.contract.measurement import KernelClass

EQUAL = "EQUAL"
AGREES = "AGREES"
DIFFERS = "DIFFERS"
INCONCLUSIVE = "INCONCLUSIVE"

#: Fewer real inputs do not settle a question across kernel classes.
LEAST_SAMPLES = 500

#: Across classes at least this share of the decisions is the same. Seen between arm64 and x86 with
#: one runtime: 99.9 %, between two runtimes on one CPU: 97.7 %.
LEAST_AGREEMENT = 0.97

#: Roundings of a float output's type (machine epsilons of its size) that always are one step.
_MOST_ROUNDINGS = 4

#: Values that are compared at once: in 64 bits, all of a large output would fill the memory.
_COMPARED_AT_ONCE = 1 << 20

Array = np.ndarray[Any, Any]
Tensors = Mapping[str, Array]


@dataclass(frozen=True)
class Parity:
    """The comparison of a board's outputs with the host's."""

    verdict: str
    """EQUAL, AGREES, DIFFERS or INCONCLUSIVE."""
    reason: str
    same_class: bool
    host: KernelClass
    board: KernelClass
    samples: int
    """0 where nothing could be compared; then the figures mean nothing."""
    real_inputs: bool
    """Held-out samples of the user's data, rather than random numbers."""
    largest_difference: float
    """In steps of the output's integer type (LSB), or in its real unit for a float output."""
    beyond_one: float
    """Share of samples with a difference above one step (above 1e-4 for a float output)."""
    agreement: float
    """Share of samples with the same argmax; of numbers, of those without a difference above one
    step."""
    host_accuracy: float | None
    board_accuracy: float | None
    accuracy_interval: tuple[float, float] | None
    """95 % interval of board minus host accuracy, paired."""
    numbers: bool = False
    """Whether the outputs are numbers rather than scores that decide for a class."""
    own_labels: bool = False
    """Whether the accuracies are shares of the original model's own answers: the data had none."""
    training_samples: int = 0
    """Number of the samples that are training samples, whose outputs alone are compared."""


def compare_outputs(
    host: tuple[KernelClass, Tensors],
    board: tuple[KernelClass, Tensors],
    labels: Array | None,
    real_inputs: bool,
    threshold: float | None = None,
    numbers: bool = False,
) -> Parity:
    """Compare outputs of the same inputs.

    Args:
        host: Kernels that computed on the host, and their outputs by name, `(samples, ...)`.
        board: Kernels that computed on the board, and their outputs by name, `(samples, ...)`.
        labels: The right class of each of the first samples, `(k,)`, where it is known.
        real_inputs: Whether the inputs were real ones.
        threshold: Value above which a single output decides for class 1, in the steps of the
            output's own type; the middle of the type's range (0.5 of a float) where it is `None`.
        numbers: Whether the outputs are numbers, as of a regression or an autoencoder, rather than
            scores of classes.
    """
    if not min((len(values) for values in host[1].values()), default=0):
        return not_compared(host[0], board[0], "no sample was answered")
    differences = [_difference(values, board[1].get(name)) for name, values in host[1].items()]
    largest = max(difference for difference, _ in differences)
    beyond = max(share for _, share in differences)
    name, values = max(host[1].items(), key=lambda item: item[1].size)
    classes, board_values = _decisions(values, threshold), board[1].get(name)
    board_classes = np.full_like(classes, -1)  # an output that is missing decides nothing
    if board_values is not None and board_values.shape == values.shape:
        board_classes = _decisions(board_values, threshold)
    agreement = 1 - beyond if numbers else float(np.mean(classes == board_classes))
    accuracies, interval = None, None
    if labels is not None:
        right, board_right = (of[: len(labels)] == labels for of in (classes, board_classes))
        accuracies = (float(np.mean(right)), float(np.mean(board_right)))
        interval = paired_interval(right, board_right)
    other_class = _class_difference(host[0], board[0])
    verdict, reason = _judge(other_class, largest, agreement, len(values), real_inputs, interval)
    if numbers and verdict in (AGREES, DIFFERS) and other_class and isfinite(largest):
        verdict, reason = _judge_numbers(other_class, values, board_values)
    return Parity(
        verdict=verdict,
        reason=reason,
        same_class=not other_class,
        host=host[0],
        board=board[0],
        samples=len(values),
        real_inputs=real_inputs,
        largest_difference=largest,
        beyond_one=beyond,
        agreement=agreement,
        host_accuracy=accuracies[0] if accuracies else None,
        board_accuracy=accuracies[1] if accuracies else None,
        accuracy_interval=interval,
        numbers=numbers,
    )


def not_compared(host: KernelClass, board: KernelClass, reason: str) -> Parity:
    """Say that there is nothing to compare with: no samples, and why."""
    return Parity(
        verdict=INCONCLUSIVE,
        reason=reason,
        same_class=False,
        host=host,
        board=board,
        samples=0,
        real_inputs=False,
        largest_difference=0,
        beyond_one=0,
        agreement=0,
        host_accuracy=None,
        board_accuracy=None,
        accuracy_interval=None,
    )


def _class_difference(host: KernelClass, board: KernelClass) -> str:
    """In words, how the kernel classes differ; empty when they are one."""
    if host == board:
        return ""
    if replace(host, cpu_features=board.cpu_features) != board:
        return "another kernel class"
    apart = set(host.cpu_features.split()) ^ set(board.cpu_features.split())
    return f"another kernel class (only one of the CPUs has {', '.join(sorted(apart))})"


def _judge(
    other_class: str,
    largest: float,
    agreement: float,
    samples: int,
    real_inputs: bool,
    interval: tuple[float, float] | None,
) -> tuple[str, str]:
    if largest == 0:
        return EQUAL, "every output is equal to the last bit"
    if not isfinite(largest):
        return DIFFERS, "an output is missing, has another shape, or is not a number"
    if not other_class:
        return DIFFERS, "the same runtime on an equal CPU must not differ at all"
    if not real_inputs or samples < LEAST_SAMPLES:
        kind = "real" if real_inputs else "random"
        inputs = "input" if samples == 1 else "inputs"
        return INCONCLUSIVE, (
            f"{other_class}, and only {samples} {kind} {inputs}: at least {LEAST_SAMPLES} real "
            "ones are needed"
        )
    if agreement < LEAST_AGREEMENT:
        return DIFFERS, f"only {agreement:.1%} of the decisions agree"
    if interval is not None and not interval[0] <= 0 <= interval[1]:
        return DIFFERS, "the accuracy moved: its paired 95 % interval does not contain 0"
    return AGREES, f"{other_class}; decisions agree and the accuracy did not move"


def _judge_numbers(other_class: str, host: Array, board: Array | None) -> tuple[str, str]:
    """Judge outputs of equal shapes, infinite or no numbers in the same places only.

    A step of a float output is a thousandth of its spread, but no less than a few roundings of its
    type: an output that hardly changes has no spread to speak of.
    """
    assert board is not None
    is_finite = np.isfinite(host)
    real = host[is_finite].astype(np.float64)
    apart = float(np.sqrt(np.mean((real - board[is_finite].astype(np.float64)) ** 2)))
    step, unit = 1.0, "steps"
    if host.dtype.kind == "f":
        step, unit = max(float(real.std()) / 1000, 1e-12), "thousandths of the outputs' spread"
        rounding = float(np.finfo(host.dtype).eps * np.sqrt(np.mean(real**2)))
        if _MOST_ROUNDINGS * rounding > step:
            step, unit = (
                _MOST_ROUNDINGS * rounding,
                f"times {_MOST_ROUNDINGS} roundings of {host.dtype}",
            )
    difference = f"the root mean square of the differences is {apart / step:.2g} {unit}"
    if apart > step:
        return DIFFERS, f"{difference}, more than rounding makes"
    return AGREES, f"{other_class}; {difference}"


def _difference(host: Array, board: Array | None) -> tuple[float, float]:
    """Return the largest difference and the share of samples beyond one step."""
    if board is None or board.shape != host.shape:
        return float("inf"), 1.0
    if not host.size:
        return 0.0, 0.0
    step = 1.0 if host.dtype.kind in "iub" else 1e-4
    host, board = host.reshape(len(host), -1), board.reshape(len(host), -1)
    worst = np.zeros(len(host))
    rows = max(1, _COMPARED_AT_ONCE // host.shape[1])
    for first in range(0, len(host), rows):
        of_rows = slice(first, first + rows)
        for column in range(0, host.shape[1], _COMPARED_AT_ONCE):
            part = (of_rows, slice(column, column + _COMPARED_AT_ONCE))
            worst[of_rows] = np.maximum(worst[of_rows], _farthest(host[part], board[part]))
    return float(worst.max()), float(np.mean(worst > step))


def _farthest(host: Array, board: Array) -> Array:
    """Return the largest difference in each row; infinite where only one side is a number."""
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        difference = np.abs(host.astype(np.float64) - board.astype(np.float64))
    is_equal = (host == board) | (np.isnan(host) & np.isnan(board))
    if host.dtype.kind in "iu":  # 64 bits of a float do not tell large integers apart
        difference = np.maximum(difference, 1.0)
    difference[is_equal] = 0
    worst: Array = difference.max(axis=1)
    worst[np.isnan(worst)] = np.inf
    return worst


def _decisions(values: Array, threshold: float | None) -> Array:
    """The class of each sample: the argmax, or whether a single output is above its threshold."""
    if not values.size:  # nothing that decides
        return np.zeros(len(values), np.int64)
    flat = values.reshape(len(values), -1)
    if flat.shape[1] > 1:
        return np.asarray(flat.argmax(axis=1))
    if threshold is None:
        limits = np.iinfo(flat.dtype) if flat.dtype.kind in "iu" else None
        threshold = 0.5 if limits is None else (limits.min + limits.max) / 2
    return (flat[:, 0] > threshold).astype(np.int64)
