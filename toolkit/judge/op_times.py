"""Whether the times of single operators can be trusted, and whose they are. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from converters.model_file import OperatorWork
from device_agent.contract.op_times import OpTime, OpTimes
from device_agent.contract.placement import XNNPACK
from toolkit.judge.soak import TOO_SHORT
from toolkit.judge.verdict import UNSTABLE, VALID

#: Largest distance between the sum of the steps and a whole run that needs no reason.
_TOLERANCE = 0.1

#: The runtime cuts the time of each step to whole microseconds, half of one on average.
_CUT_US = 0.5

#: Largest share of a whole run that these cuts may add up to.
_MOST_CUT = 0.25

#: Names of XNNPACK's kernels, by how they begin, and the ops of which they are.
_KERNELS = {
    "Convolution": ("CONV_2D", "DEPTHWISE_CONV_2D"),
    "Deconvolution": ("TRANSPOSE_CONV",),
    "Fully Connected": ("FULLY_CONNECTED",),
    "Batch Matrix Multiply": ("BATCH_MATMUL",),
    "Add": ("ADD",),
    "Multiply": ("MUL",),
    "Max Pooling": ("MAX_POOL_2D",),
    "Average Pooling": ("AVERAGE_POOL_2D",),
    "Sigmoid": ("LOGISTIC",),
    "Softmax": ("SOFTMAX",),
}


def judge_op_times(times: OpTimes) -> tuple[str, str]:
    """Judge the times of the steps of a model by whole runs without the profiler.

    Returns:
        `VALID`, `UNSTABLE` or `TOO SHORT`, and the reason, which names the sum and the whole run.
    """
    total, whole, steps = times.total_us, times.whole_us, len(times.steps)
    sums = f"the steps add up to {total:.0f} us, a whole run without the profiler took {whole:.1f}"
    if times.interrupted > times.runs:
        every = times.interrupted + times.runs
        return UNSTABLE, (
            f"{sums} us: other programs took the core in {times.interrupted} of {every} runs"
        )
    cut = _CUT_US * steps
    if cut > _MOST_CUT * whole:
        return TOO_SHORT, (
            f"{sums} us: each of the {steps} steps is cut to whole microseconds, which is too "
            "coarse for so short a run"
        )
    if total > times.whole_high_us * (1 + _TOLERANCE) + 1:
        return UNSTABLE, (
            f"{sums} us: a step that runs others (a loop, a branch) counts theirs, too, and the "
            "profiler takes time of its own for each"
        )
    if total + cut < times.whole_low_us * (1 - _TOLERANCE) - cut:
        return UNSTABLE, (
            f"{sums} us: what runs between the steps is not seen, and each is cut to whole "
            "microseconds"
        )
    return VALID, f"{sums} us (each step is cut to whole microseconds)"


def label_steps(times: OpTimes, operators: Sequence[OperatorWork]) -> OpTimes:
    """Name the layer and the work of each step.

    Where the runtime names layers of the model, these count, for it may run them in another order.
    Else each kind is named that has as many steps as operators.

    Args:
        times: Times of the steps, in the order in which they ran.
        operators: Operators of the model, in that order.
    """
    layers: dict[str, OperatorWork] = {}
    for work in filter(lambda each: each.layer, operators):
        # Of several operators of one name nobody knows which one a step is.
        layers[work.layer] = replace(work, macs=0) if work.layer in layers else work
    steps = [_with_work(step, layers.get(step.layer)) for step in times.steps]
    if any(step.layer for step in steps):
        return replace(times, steps=steps)
    kinds = {_ops_of(step) for step in steps}
    for ops in kinds:
        places = [place for place, step in enumerate(steps) if _ops_of(step) == ops]
        works = [work for work in operators if work.op in ops]
        if len(places) != len(works):  # an operator may be fused, or split into several steps
            continue
        for place, work in zip(places, works, strict=True):
            steps[place] = _with_work(steps[place], work)
    return replace(times, steps=steps)


def _with_work(step: OpTime, work: OperatorWork | None) -> OpTime:
    if work is None:
        return replace(step, layer="", macs=None)
    return replace(step, layer=work.layer, macs=work.macs or None)


def _ops_of(step: OpTime) -> tuple[str, ...]:
    """Ops of the model that a step may be."""
    for begin, ops in _KERNELS.items():
        if step.executor == XNNPACK and step.op.startswith(begin):
            return ops
    return (step.op,)
