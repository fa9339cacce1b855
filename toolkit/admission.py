"""Refuses a model that the board's runtime cannot load, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence

from converters.errors import ConversionError
from converters.formats import FORMATS
from converters.model_file import ModelFile, Operator
from device_agent.contract.runtimes import BOARD_PREFIX, distribution_of
from targets.device import Device
from targets.inventory import Target

#: Version of a runtime that reports none: only a trial shows what it loads.
_UNKNOWN_VERSION = "unknown"

#: Next step by format, where a runtime lacks custom operators.
_WITHOUT_CUSTOM_OPS = {
    "tflite": "Build the model of TensorFlow Lite's own ops, and convert it again. Has the board a "
    "runtime or a delegate with these ops? Name it as `runtime` or `delegate` of this target in "
    "kedge.toml.",
    "onnx": "Export the model with the operators of ONNX only. Has the board an onnxruntime with "
    'these ops? Write runtime = "board:onnxruntime" for this target in kedge.toml.',
}

#: Next step by format, where a runtime is too old.
_WITH_OLDER_OPS = {
    "tflite": "Convert it without dynamic range, with a recipe of full int8 (ptq_w8a8, qat_w8a8), "
    "or install ai-edge-litert on the board: it needs Python 3.10 and glibc 2.34, or newer.",
    "onnx": "Export the model with an older opset, let kedge write it (kedge convert --format "
    "onnx), or use a board with Python 3.11 or newer and glibc 2.28 or newer.",
}

#: Next step where TensorRT does not take a file.
FOR_TENSORRT = (
    "Convert the model with --format tensorrt. To run this file on ONNX Runtime, leave out "
    "`runtime` of the target in kedge.toml."
)

#: Architecture that is assumed of a board whose facts are not at hand: the one with known faults.
_ANY_MACHINE = "aarch64"


class ModelRefusedError(ConversionError):
    """The runtime or the delegate of a board cannot run this model."""

    def __init__(self, message: str, hint: str, by_runtime: bool = False) -> None:
        """Make the error.

        Args:
            message: Reasons.
            hint: Next step for the user.
            by_runtime: Whether the release of the runtime is the reason, which may be overridden.
        """
        super().__init__(message, hint)
        self.by_runtime = by_runtime


def admit(model: ModelFile, device: Device, force: bool = False) -> str:
    """Check a model file against the runtime and the delegate that the board will use.

    Args:
        model: Model file.
        device: Board.
        force: Whether a refusal of the runtime is overridden. That of a delegate never is.

    Returns:
        The refusal that was overridden; "" where there was none.

    Raises:
        ModelRefusedError: The board cannot load it or computes it wrongly, or a delegate would
            leave it to the CPU.
        NoRuntimeError: The board can load no runtime for the format of the model.
    """
    choice = device.runtime_for(model.format)
    machine = device.facts.machine
    try:
        admit_to_runtime(model, device.target, choice.distribution, choice.version, machine)
    except ModelRefusedError as refusal:
        if not (force and refusal.by_runtime):
            raise
        return str(refusal)
    return ""


def admit_to_runtime(
    model: ModelFile,
    target: Target,
    distribution: str,
    version: str,
    machine: str = _ANY_MACHINE,
) -> None:
    """Check a model file against a runtime and the delegate of a target.

    Args:
        model: Model file.
        target: Target.
        distribution: Distribution of the runtime, as `RuntimeChoice` names it.
        version: Version of the runtime.
        machine: Architecture of the board.

    Raises:
        ModelRefusedError: The runtime cannot load it or computes it wrongly, or a delegate would
            leave it to the CPU.
    """
    _admit_to_delegate(model, target)
    _admit_form(model, target, distribution_of(distribution))
    if version == _UNKNOWN_VERSION:
        return
    operators = model.operators
    if _may_know_more(distribution, target):
        operators = tuple(operator for operator in operators if not operator.custom)
    reasons = FORMATS[model.format].refusals(operators, distribution_of(distribution), version)
    if reasons:
        raise ModelRefusedError(
            f"{target.name} cannot load {model.path}:"
            + "".join(f"\n  {reason}" for reason in reasons),
            fix_of(model, operators),
            by_runtime=True,
        )
    faults = FORMATS[model.format].faults(model, machine, version)
    if faults:
        raise ModelRefusedError(
            f"{target.name} would compute {model.path} wrongly: {faults[0]}",
            "Let kedge write the file (kedge convert --format onnx writes uint8), or use a board "
            "with Python 3.11 or newer and glibc 2.28 or newer.",
            by_runtime=True,
        )


def _admit_form(model: ModelFile, target: Target, runtime: str) -> None:
    reasons = FORMATS[model.format].form_refusals(model, runtime)
    if reasons:
        raise ModelRefusedError(
            f"{target.name} cannot load {model.path} with {runtime}:"
            + "".join(f"\n  {reason}" for reason in reasons),
            FOR_TENSORRT,
        )


def fix_of(model: ModelFile, operators: Sequence[Operator] | None = None) -> str:
    """Return the next step where a runtime does not load a model.

    Args:
        model: Model file.
        operators: Its operators that count; None for all.
    """
    counted = model.operators if operators is None else operators
    has_custom = any(operator.custom for operator in counted)
    return (_WITHOUT_CUSTOM_OPS if has_custom else _WITH_OLDER_OPS)[model.format]


def _may_know_more(distribution: str, target: Target) -> bool:
    """Whether a vendor's build or a delegate may bring custom ops: then only a trial shows it."""
    execution = target.execution
    by_delegate = bool(execution.delegate) and not execution.drives_edgetpu
    return by_delegate or distribution.startswith(BOARD_PREFIX)


def admit_conversion(target: Target) -> None:
    """Refuse a target to which a fresh conversion cannot go, before the work of hours begins.

    Raises:
        ModelRefusedError: It drives an Edge TPU, which takes compiled models only.
    """
    if target.execution.drives_edgetpu and not target.execution.allow_cpu:
        raise ModelRefusedError(
            f"{target.name} drives an Edge TPU, which takes models of edgetpu_compiler only",
            "Convert first (kedge convert), compile the .tflite with edgetpu_compiler, then push "
            f"and bench that. To run on the CPU meanwhile: {_ON_CPU}",
        )


_ON_CPU = "allow_cpu = true for this target in kedge.toml."


def _admit_to_delegate(model: ModelFile, target: Target) -> None:
    execution = target.execution
    if execution.uses_delegate(model.format, model.edgetpu) and not execution.takes_format(
        model.format
    ):
        raise ModelRefusedError(
            f"{target.name} runs models on {execution.delegate}, which takes no .{model.format}",
            f"Leave out `delegate` of this target, or to run such files on the CPU: {_ON_CPU}",
        )
    if model.edgetpu and not execution.drives_edgetpu:
        raise ModelRefusedError(
            f"{model.path} was compiled for the Edge TPU, which {target.name} does not drive",
            'Has the board one? Write delegate = "edgetpu" for this target in kedge.toml. If not, '
            "push the .tflite that it was compiled from.",
        )
    if not model.edgetpu and execution.drives_edgetpu and not execution.allow_cpu:
        raise ModelRefusedError(
            f"{model.path} is not compiled for the Edge TPU of {target.name}: all of it would run "
            "on the CPU, in silence",
            f"Compile it with edgetpu_compiler. To let it run on the CPU: {_ON_CPU}",
        )
