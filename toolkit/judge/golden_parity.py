"""Whether a board answers golden inputs as the host does: each output by what it is. Pure."""

from __future__ import annotations

from dataclasses import replace

from converters.evidence.golden import Golden, Right
from converters.model_file import ModelFile
from device_agent.contract.measurement import KernelClass
from toolkit.judge.parity import AGREES, DIFFERS, EQUAL, INCONCLUSIVE, Parity, Tensors, compare

_WORST_FIRST = (DIFFERS, INCONCLUSIVE, AGREES, EQUAL)


def compare_golden(
    host: tuple[KernelClass, Tensors],
    board: tuple[KernelClass, Tensors],
    model: ModelFile,
    golden: Golden | None,
) -> Parity:
    """Compare outputs of the same inputs.

    Args:
        host: What computed on the host, and its outputs by name, `(samples, ...)`.
        board: The same of the board.
        model: The file.
        golden: What is known of the inputs; `None` where they are random.

    Returns:
        Of several outputs the comparison of the one that is farthest apart, with the figures that
        are worst; the reason names it.
    """
    parity = _compared(host, board, model, golden)
    return replace(parity, own_labels=golden is not None and golden.own_labels)


def _compared(
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
        return compare(host, board, alone.labels, golden is not None, steps, numbers)
    found = {}
    for name, values in host[1].items():
        right = golden.outputs.get(name, Right(None))
        found[name] = compare(
            (host[0], {name: values}),
            (board[0], {key: value for key, value in board[1].items() if key == name}),
            right.labels,
            True,
            _threshold_steps(model, name, right),
            right.labels is None,
        )
    return _worst(found)


def _worst(found: dict[str, Parity]) -> Parity:
    name = min(found, key=lambda n: (_WORST_FIRST.index(found[n].verdict), found[n].agreement))
    reason = found[name].reason
    if found[name].verdict != EQUAL:
        others = [f"{other!r} {one.verdict}" for other, one in found.items() if other != name]
        reason = f"output {name!r}: {reason} ({', '.join(others)})"
    return replace(
        found[name],
        reason=reason,
        largest_difference=max(one.largest_difference for one in found.values()),
        beyond_one=max(one.beyond_one for one in found.values()),
        agreement=min(one.agreement for one in found.values()),
        # Whose they are could not be told.
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
