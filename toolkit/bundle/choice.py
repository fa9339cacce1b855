"""Which variant of a release a board gets, and why it does not get the others. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from converters.errors import ConversionError
from converters.formats import FORMATS
from converters.model_file import Operator
from device_agent.contract.facts import Facts
from device_agent.contract.manifest import Manifest, Variant
from device_agent.contract.runtimes import distribution_of
from targets.execution import EDGETPU, Execution
from targets.runtimes.release import RuntimeChoice

#: Version of a runtime that reports none: only a trial shows what it loads.
_UNKNOWN_VERSION = "unknown"


@dataclass(frozen=True)
class BoardAbility:
    """Facts about a board that decide which variants run there."""

    facts: Facts
    """Facts about the board, as its agent reports them."""
    execution: Execution
    """How models are executed there, as kedge.toml says."""
    runtimes: Mapping[str, RuntimeChoice | str]
    """Runtime of the board by format of model files, or the reason why none loads there."""


@dataclass(frozen=True)
class VariantChoice:
    """The variant for a board, and the reasons against those before it."""

    variant: Variant | None
    """First variant that fits; `None` for none."""
    refusals: Mapping[str, tuple[str, ...]]
    """Reasons against each variant that does not fit, by its name."""
    overridden: tuple[str, ...] = ()
    """Reasons against `variant` that were overridden; empty where it fits."""

    @property
    def reason(self) -> str:
        """All reasons in one text, a line for each variant."""
        return "\n".join(f"{name}: {'; '.join(why)}" for name, why in self.refusals.items())


def choose_variant(manifest: Manifest, board: BoardAbility, force: bool = False) -> VariantChoice:
    """Choose the first variant that fits a board.

    Args:
        manifest: Manifest of the release.
        board: Facts about the board, and how models are executed there.
        force: Whether, where none fits, the first one is chosen against which only the release of
            the board's runtime speaks.
    """
    refusals = {}
    fitting = None
    for variant in manifest.variants:
        reasons = tuple(reason for check in _CHECKS for reason in check(variant, board) if reason)
        if reasons:
            refusals[variant.name] = reasons
        elif fitting is None:
            fitting = variant
    if fitting is not None or not force:
        return VariantChoice(fitting, refusals)
    others = [check for check in _CHECKS if check is not _check_release]
    for variant in manifest.variants:
        if not any(check(variant, board) for check in others):
            return VariantChoice(variant, refusals, refusals[variant.name])
    return VariantChoice(None, refusals)


def _check_machine(variant: Variant, board: BoardAbility) -> list[str]:
    machines, machine = variant.needs.architectures, board.facts.machine
    if not machines or machine in machines:
        return []
    return [f"it is for {' or '.join(machines)}, the board is {machine or 'unknown'}"]


def _check_accelerator(variant: Variant, board: BoardAbility) -> list[str]:
    execution, needed = board.execution, variant.needs.accelerator
    if needed not in ("", EDGETPU):
        return [f"it needs an accelerator {needed!r}, which this kedge does not know"]
    if not needed:
        if execution.drives_edgetpu and not execution.allow_cpu:
            return [
                "it is not compiled for the board's Edge TPU (allow_cpu = true of the target lets "
                "it run on the CPU)"
            ]
        return []
    sticks = [entry for entry in board.facts.accelerators if entry.kind.startswith(EDGETPU)]
    if not execution.drives_edgetpu:
        if not sticks:
            return ["it needs an Edge TPU, the board has none"]
        return ['it needs an Edge TPU, and the target does not say delegate = "edgetpu"']
    if not sticks:
        return ["it needs an Edge TPU, and the board reports none"]
    if not any(entry.usable for entry in sticks):
        states = ", ".join(entry.state or "not usable" for entry in sticks)
        return [f"it needs an Edge TPU, and that of the board is not usable: {states}"]
    return []


def _check_runtime(variant: Variant, board: BoardAbility) -> list[str]:
    runtime = board.runtimes.get(variant.format, f"this kedge knows no format {variant.format!r}")
    return [runtime] if isinstance(runtime, str) else []


def _check_release(variant: Variant, board: BoardAbility) -> list[str]:
    """Return what the runtime of the board does not load by its release."""
    runtime = board.runtimes.get(variant.format, "")
    if isinstance(runtime, str) or runtime.version == _UNKNOWN_VERSION:
        return []
    name = distribution_of(runtime.distribution)
    reasons = _op_refusals(variant, name, runtime.version)
    lowest = variant.needs.runtimes
    if reasons or not lowest:
        return reasons
    if name not in lowest:
        return [f"it needs {_ranges(lowest)}, the board has {name} {runtime.version}"]
    if _older(runtime.version, lowest[name]):
        return [f"it needs {name} {lowest[name]} or newer, the board has {runtime.version}"]
    return []


def _op_refusals(variant: Variant, runtime: str, version: str) -> list[str]:
    operators = [Operator(op, number, 1, False) for op, number in variant.needs.ops.items()]
    try:
        return list(FORMATS[variant.format].refusals(operators, runtime, version))
    except ConversionError as error:
        return [str(error)]


def _check_memory(variant: Variant, board: BoardAbility) -> list[str]:
    facts, needed = board.facts, variant.needs.memory_bytes
    most = min(filter(None, (facts.memory_bytes, facts.memory_limit_bytes)), default=0)
    if not most or needed <= most:
        return []
    return [f"it needs {_mib(needed)} of memory, the board has {_mib(most)}"]


_CHECKS: tuple[Callable[[Variant, BoardAbility], list[str]], ...] = (
    _check_machine,
    _check_accelerator,
    _check_runtime,
    _check_release,
    _check_memory,
)


def _older(version: str, than: str) -> bool:
    try:
        return Version(version) < Version(than)
    except InvalidVersion:  # of a board or a manifest: only a trial shows what it loads
        return False


def _ranges(lowest: Mapping[str, str]) -> str:
    return " or ".join(f"{name} {version}" for name, version in lowest.items())


def _mib(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB"
