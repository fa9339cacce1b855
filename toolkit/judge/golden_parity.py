"""Whether a board answers golden inputs as the host does; each output by its task. Pure."""

from __future__ import annotations

from dataclasses import replace

from converters.evidence.golden import Golden, Right
from converters.model_file import ModelFile
from device_agent.contract.measurement import KernelClass
from toolkit.judge.parity import (
    AGREES,
    DIFFERS,
    EQUAL,
    INCONCLUSIVE,
    Parity,
    Tensors,
    compare_outputs,
)

_WORST_FIRST = (DIFFERS, INCONCLUSIVE, AGREES, EQUAL)


def compare_golden(
    host: tuple[KernelClass, Tensors],
    board: tuple[KernelClass, Tensors],
    model: ModelFile,
    golden: Golden | None,
) -> Parity:
    """Compare outputs of the same inputs.

    Args:
        host: Kernels that computed on the host, and their outputs by name, `(samples, ...)`.
        board: Kernels that computed on the board, and their outputs by name, `(samples, ...)`.
        model: File.
        golden: Held-out inputs and their labels; `None` where the inputs are random.

    Returns:
        Comparison of the output that is farthest apart, with the worst figures of all outputs; the
        reason names the output.
    """
    parity = _compare(host, board, model, golden)
    if golden is None:
        return parity
    training = max((len(values) for values in golden.more_inputs.values()), default=0)
    return replace(parity, own_labels=golden.own_labels, training_samples=training)


def _compare(
    host: tuple[KernelClass, Tensors],
    board: tuple[KernelClass, Tensors],
    model: ModelFile,
    golden: Golden | None,
) -> Parity:
    if golden is None or golden.outputs is None:
        alone = Right(golden.labels, golden.threshold) if golden else Right(None)
        steps = _threshold_steps(model, "", alone)
        # A classifier's golden inputs have labels.
        numbers = golden is not None and golden.labels is None
        return compare_outputs(host, board, alone.labels, golden is not None, steps, numbers)
    parities = {}
    for name, values in host[1].items():
        right = golden.outputs.get(name, Right(None))
        parities[name] = compare_outputs(
            (host[0], {name: values}),
            (board[0], {key: value for key, value in board[1].items() if key == name}),
            right.labels,
            True,
            _threshold_steps(model, name, right),
            right.labels is None,
        )
    return _worst(parities)


def _worst(parities: dict[str, Parity]) -> Parity:
    name = min(
        parities, key=lambda n: (_WORST_FIRST.index(parities[n].verdict), parities[n].agreement)
    )
    reason = parities[name].reason
    if parities[name].verdict != EQUAL:
        others = [f"{other!r} {one.verdict}" for other, one in parities.items() if other != name]
        reason = f"output {name!r}: {reason} ({', '.join(others)})"
    return replace(
        parities[name],
        reason=reason,
        largest_difference=max(one.largest_difference for one in parities.values()),
        beyond_one=max(one.beyond_one for one in parities.values()),
        agreement=min(one.agreement for one in parities.values()),
        # Nobody could tell to which output they belong.
        host_accuracy=None,
        board_accuracy=None,
        accuracy_interval=None,
    )


def _threshold_steps(model: ModelFile, name: str, right: Right) -> float | None:
    """The threshold of a single score in the steps of its output's type, where it is known."""
    if right.threshold is None:
        return None
    output = next(spec for spec in model.outputs if name in ("", spec.name))
    if output.scale is None or output.zero_point is None:
        return right.threshold
    return right.threshold / output.scale + output.zero_point
