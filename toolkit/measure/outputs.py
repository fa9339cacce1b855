"""Compares the outputs of a board with those of this host, over the same inputs."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from converters.deadline import LONGEST_SAMPLE_S
from converters.errors import ConversionError
from converters.evidence.golden import Golden
from converters.formats import FORMATS
from converters.model_file import ModelFile
from device_agent.contract.cpu_features import cpu_features
from device_agent.contract.measurement import KernelClass
from device_agent.contract.runtimes import TENSORRT, distribution_of
from device_agent.contract.tensors import INTEGER_RANGES
from targets.agent_client import WIRE_CODE, AgentError
from targets.device import Device
from targets.progress import OnProgress
from targets.staged_file import StagedFile
from toolkit.judge.golden_parity import compare_golden
from toolkit.judge.parity import LEAST_SAMPLES, Parity, not_compared
from toolkit.measure.inputs import golden_beside, has_plain_integers, random_inputs
from toolkit.measure.state import card_of_comparison, reset_before_samples

#: Seconds for random inputs on the host, and again on the board: then no further one begins.
_RANDOM_S = 5.0

#: Seconds for golden inputs where each sample is a process of its own, as on TensorRT.
_PROCESSES_S = 300.0

#: Operators of .tflite and .onnx that draw random numbers in each run.
_RANDOM_OPS = {
    *("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL"),
    *("RandomUniform", "RandomUniformLike", "RandomNormal", "RandomNormalLike"),
    *("Multinomial", "Bernoulli"),
}

#: Size by which a board's outputs may be larger than twice those of the host.
_ODD_OUTPUT_BYTES = 1 << 20

Tensors = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class OutputCheck:
    """Comparison of the outputs of a board with those of this host."""

    parity: Parity
    integers: tuple[int, int] | None = None
    """Lowest and highest random value of whole numbers without a scale that the model accepts;
    `None` where that is not known."""


def check_outputs(
    model: ModelFile,
    device: Device,
    on_board: StagedFile,
    kernel_class: KernelClass,
    on_progress: OnProgress,
) -> OutputCheck:
    """Compare outputs over the held-out inputs beside a file, or over random ones.

    Args:
        model: File.
        device: Board, with its runtime prepared.
        on_board: The file on the board.
        kernel_class: Kernels that compute there.
        on_progress: Called as the work goes on.

    Raises:
        ConversionError: This host cannot run the file, or the held-out inputs are damaged.
        AgentError: The board cannot load or run the model.
    """
    model_format, host = FORMATS[model.format], host_class(model.format)
    foreign = model_format.foreign_ops(model)
    if foreign:
        reason = f"this host cannot compute {', '.join(foreign)}"
        return OutputCheck(not_compared(host, kernel_class, reason))
    drawing = [op.name for op in model.operators if op.name in _RANDOM_OPS]
    if drawing:
        reason = f"the model draws random numbers ({', '.join(drawing)}), so that no two runs agree"
        return OutputCheck(not_compared(host, kernel_class, reason))
    golden, reset = golden_beside(model), reset_before_samples(model, card_of_comparison(model))
    if golden is not None:
        return _check_golden(model, device, on_board, kernel_class, golden, on_progress)
    integers, inputs, on_host = _answer_random(model, reset, on_progress)
    answered = min(len(values) for values in on_host.values())
    inputs = {name: values[:answered] for name, values in inputs.items()}
    board, on_board_outputs = device.jobs.infer(
        on_board,
        inputs,
        on_progress,
        most_s=_RANDOM_S,
        reset=reset,
        most_bytes=most_output_bytes(on_host),
    )
    del inputs
    answered = min([answered, *(len(values) for values in on_board_outputs.values())])
    on_host = {name: values[:answered] for name, values in on_host.items()}
    parity = compare_golden((host, on_host), (board, on_board_outputs), model, None)
    return OutputCheck(parity, integers)


def _check_golden(
    model: ModelFile,
    device: Device,
    on_board: StagedFile,
    kernel_class: KernelClass,
    golden: Golden,
    on_progress: OnProgress,
) -> OutputCheck:
    """Compare outputs over held-out inputs; see `check_outputs`."""
    reset = reset_before_samples(model, card_of_comparison(model))
    host, most_s = host_class(model.format), 0.0
    if distribution_of(kernel_class.runtime) == TENSORRT:
        golden, most_s = first_samples(golden, LEAST_SAMPLES), _PROCESSES_S
    inputs = golden.inputs
    if golden.more_inputs:
        more = golden.more_inputs
        inputs = {name: np.concatenate([of, more[name]]) for name, of in inputs.items()}
    on_host = FORMATS[model.format].run(model.path, inputs, _report_host(on_progress), reset=reset)
    board, on_board_outputs = device.jobs.infer(
        on_board,
        inputs,
        on_progress,
        most_s=most_s,
        reset=reset,
        most_bytes=most_output_bytes(on_host),
    )
    if most_s:
        answered = min(len(values) for values in on_board_outputs.values())
        golden = first_samples(golden, answered)
        on_host = {name: values[:answered] for name, values in on_host.items()}
    return OutputCheck(compare_golden((host, on_host), (board, on_board_outputs), model, golden))


def first_samples(golden: Golden, count: int) -> Golden:
    """Return the first held-out samples of golden inputs, at most `count` of them."""
    outputs = golden.outputs and {
        name: replace(right, labels=None if right.labels is None else right.labels[:count])
        for name, right in golden.outputs.items()
    }
    return replace(
        golden,
        inputs={name: values[:count] for name, values in golden.inputs.items()},
        labels=None if golden.labels is None else golden.labels[:count],
        outputs=outputs,
        more_inputs={},
    )


def most_output_bytes(on_host: Tensors) -> int:
    """Return the largest size that a board's outputs may have; shapes can follow from values.

    Args:
        on_host: Output of this host by name, `(samples, ...)`, of any numeric dtype.
    """
    return 2 * sum(values.nbytes for values in on_host.values()) + _ODD_OUTPUT_BYTES


def require_equal_form(on_host: Tensors, on_board: Tensors, name: str) -> None:
    """Refuse outputs of a board that have other names or shapes than those of this host.

    Args:
        on_host: Output of this host by name, `(samples, ...)`, of any numeric dtype.
        on_board: Output of the board by name, `(samples, ...)`, of any numeric dtype.
        name: Name of the board.

    Raises:
        AgentError: A name or a shape differs: the board's runtime or its agent is broken.
    """
    forms = [{key: values.shape for key, values in each.items()} for each in (on_host, on_board)]
    if forms[0] != forms[1]:
        raise AgentError(
            WIRE_CODE,
            f"{name}: the outputs of the model have other names or shapes than on this host",
            "Choose another `runtime` of this target in kedge.toml.",
        )


def _answer_random(
    model: ModelFile, reset: str, on_progress: OnProgress
) -> tuple[tuple[int, int] | None, Tensors, Tensors]:
    """Return the range of whole numbers that a model accepts, random inputs, and its outputs.

    Raises:
        ConversionError: This host cannot run the file, or not with any of the ranges.
    """
    ranges = INTEGER_RANGES if has_plain_integers(model) else INTEGER_RANGES[:1]
    refusal = None
    for integers in ranges:
        inputs = random_inputs(model, integers)
        began = time.monotonic()
        try:
            outputs = FORMATS[model.format].run(
                model.path, inputs, _report_host(on_progress), most_s=_RANDOM_S, reset=reset
            )
        except ConversionError as error:
            if time.monotonic() - began >= LONGEST_SAMPLE_S:
                raise  # it does not end with these values, and most likely not with others
            refusal = refusal or error
            continue
        return (integers if len(ranges) > 1 else None), inputs, outputs
    assert refusal is not None
    tried = ", ".join(str(low) if low == high else f"{low} to {high}" for low, high in ranges)
    integers_tried = f", whole numbers without a scale {tried}" if len(ranges) > 1 else ""
    raise ConversionError(
        f"{refusal} (with random inputs{_describe_values(model)}{integers_tried})",
        "Try inputs of your own with `kedge run`. If they fail too, the file is damaged, or uses "
        "an operator in a way that the runtime does not expect.",
    ) from refusal


def _describe_values(model: ModelFile) -> str:
    """Name the random values of the inputs that are no plain whole numbers."""
    kinds = {("float" if spec.dtype.startswith("float") else "", bool(spec.scale))
             for spec in model.inputs}  # fmt: skip
    values = [": floats -1 to 1"] if ("float", False) in kinds else []
    if any(is_quantized for _, is_quantized in kinds):
        values.append(f"{',' if values else ':'} quantized numbers of the whole range")
    return "".join(values)


def _report_host(on_progress: OnProgress) -> Callable[[int, int], None]:
    on_progress("infer on this host", 0, 0)
    return lambda done, total: on_progress("infer on this host", done, total)


def host_class(model_format: str) -> KernelClass:
    """Return the kernels that compute files of a format (a key of `FORMATS`) on this host."""
    name, version = FORMATS[model_format].host_runtime()
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # no Linux
        cpuinfo = ""
    features = " ".join(cpu_features(cpuinfo))
    return KernelClass(platform.machine(), name, version, cpu_features=features)
