"""Tells whether a board is ready, why not, and what helps. Pure: nothing is read or sent here."""

from __future__ import annotations

from dataclasses import dataclass

from device_agent.contract.facts import Facts
from device_agent.contract.runtimes import distribution_of
from targets.board_profile import BoardProfile, caveats_of, recognise
from targets.probe import NoPythonError, Probe, Python
from targets.runtimes.all import FORMAT_TITLES
from targets.runtimes.choice import choose_runtime
from targets.runtimes.fit import judge_runtimes
from targets.runtimes.no_runtime import (
    LIBRARY_PATH_FIX,
    NoRuntimeError,
    is_64_bit_cpu,
    library_path_cause,
    why_none,
)
from targets.runtimes.release import RuntimeChoice, RuntimeVerdict

READY = "READY"
CAUTION = "READY WITH CAUTION"
NOT_READY = "NOT READY"

BLOCKS = "blocks"
WARNS = "warns"

#: A wheel, and beside it its unzipped files while it is unpacked: at most 3.6 times its own size
#: (read from the wheels of ai-edge-litert 2.3.0, tflite-runtime 2.14.0 and numpy 1.26.4).
DISK_PER_WHEEL_BYTE = 4.6

#: Left free on the board by the agent (`device_agent/store/folders.py`).
RESERVE_BYTES = 4 << 20

#: The reserve, the agent, and the smallest runtime where NumPy is there already (the wheel of
#: tflite-runtime 2.14.0 has 2.4 MB): with less nothing runs.
LEAST_ROOM_BYTES = 16 << 20

#: Files of a runtime with its NumPy (ai-edge-litert 2.3.0 and numpy 1.26.4 have 1,400), and room
#: for the bytecode of those that are imported.
RUNTIME_FILES = 2000

#: Files of a session without a new runtime: the agent, a model, the tensors of a job.
LEAST_FILES = 16

#: Boards sold with 512 MiB show a little less; ai-edge-litert and numpy alone take some 100 MiB.
TIGHT_MEMORY_BYTES = 640 << 20

#: A USB 2 port, in Mbit/s: the Edge TPU then needs up to four times as long (google-coral/edgetpu
#: issue 151: 9.5 ms instead of 2.4 ms).
USB_2_MBITS = 480


@dataclass(frozen=True)
class Finding:
    """One problem of a board: it blocks, or the user should know it."""

    level: str
    """`blocks` or `warns`."""
    cause: str
    fix: str
    source: str = ""
    """Source of a finding that was not read from the board; empty for one that was."""


@dataclass(frozen=True)
class WheelToSend:
    """One wheel that the first use brings to the board."""

    name: str
    size_bytes: int
    is_exact: bool
    """Whether the size is that of the file, which this computer has; else it is an estimate."""


@dataclass(frozen=True)
class FirstUse:
    """Files that the first push or benchmark will send."""

    agent_bytes: int
    """Size of the agent to send; 0 when the board has it."""
    wheels: tuple[WheelToSend, ...]
    """Wheels to send; empty when the board has this runtime."""
    has_agent: bool
    has_runtime: bool | None
    """Whether the board has the runtime; `None` if unknown: digests of the wheels name it, and the
    wheels are not on this computer."""

    @property
    def total_bytes(self) -> int:
        """Number of bytes that will be sent."""
        return self.agent_bytes + sum(wheel.size_bytes for wheel in self.wheels)


@dataclass(frozen=True)
class FormatFit:
    """Whether a board runs the files of one format."""

    format: str
    choice: RuntimeChoice | None
    """Runtime that the board gets for them; `None` where none loads."""
    cause: str = ""
    """Reason why none loads; empty where one does."""
    fix: str = ""
    """Next step where none loads."""


@dataclass(frozen=True)
class Diagnosis:
    """All that kedge says of a board."""

    findings: tuple[Finding, ...]
    facts: Facts
    """Facts about the board, with the Python that was chosen."""
    python: Python | None
    runtimes: tuple[RuntimeVerdict, ...]
    """Verdicts on every release of all formats with that Python; empty without a Python."""
    choice: RuntimeChoice | None
    profile: BoardProfile | None
    formats: tuple[FormatFit, ...] = ()
    """Fit of each format of model files; empty without a Python."""

    @property
    def verdict(self) -> str:
        """`READY`, `READY WITH CAUTION` or `NOT READY`."""
        levels = {finding.level for finding in self.findings}
        return NOT_READY if BLOCKS in levels else CAUTION if WARNS in levels else READY


def diagnose(probe: Probe, model_format: str, runtime: str | None = None) -> Diagnosis:
    """Judge a board by what was read from it.

    Args:
        probe: Probe of the board that asked all Pythons.
        model_format: Name of the format of the model files that the board is to run.
        runtime: Runtime that kedge.toml names for this target; without it, the best is chosen.
    """
    python, findings = _python_of(probe)
    facts = probe.facts_with(python) if python else probe.facts
    runtimes: tuple[RuntimeVerdict, ...] = ()
    formats: tuple[FormatFit, ...] = ()
    choice = None
    if python is not None:
        choice, runtime_findings = _runtime_of(facts, model_format, runtime)
        findings += runtime_findings
        if choice is not None:
            findings += _about_the_library_path(facts, judge_runtimes(facts, model_format))
        runtimes = tuple(each for name in FORMAT_TITLES for each in judge_runtimes(facts, name))
        formats = tuple(_fit_of(facts, name, runtime) for name in FORMAT_TITLES)
    profile = recognise(facts)
    findings += (
        _about_the_root(probe) + _about_the_system(facts, choice) + _about_accelerators(facts)
    )
    if profile is not None:
        findings += [
            Finding(WARNS, caveat.cause, caveat.fix, caveat.source)
            for caveat in caveats_of(profile, facts)
        ]
    return Diagnosis(tuple(findings), facts, python, runtimes, choice, profile, formats)


def require_space(free_bytes: int | None, first_use: FirstUse) -> list[Finding]:
    """Tell whether what the first use sends fits on the board's disk."""
    wheels = sum(wheel.size_bytes for wheel in first_use.wheels)
    needed_bytes = round(first_use.agent_bytes + wheels * DISK_PER_WHEEL_BYTE) + RESERVE_BYTES
    if free_bytes is None or free_bytes >= needed_bytes:
        return []
    suffix = " while the runtime is unpacked" if wheels else ""
    return [
        Finding(
            BLOCKS,
            f"{free_bytes / 2**20:.0f} MiB are free, kedge needs {needed_bytes / 2**20:.0f} MiB"
            f"{suffix}",
            "Free some space on the board, or name another folder as `root` in kedge.toml.",
        )
    ]


def require_files(free_files: int, first_use: FirstUse) -> list[Finding]:
    """Tell whether the board's disk takes as many files as the first use makes.

    Args:
        free_files: Number of files that the disk still takes; -1 for no limit.
        first_use: Files that will be sent.
    """
    needed = RUNTIME_FILES if first_use.wheels else LEAST_FILES
    if not 0 <= free_files < needed:
        return []
    return [
        Finding(
            BLOCKS,
            f"the file system takes {free_files} more files, kedge needs {needed}",
            "Remove files on the board (df -i shows how many it takes), or name another folder as "
            "`root` in kedge.toml.",
        )
    ]


def _python_of(probe: Probe) -> tuple[Python | None, list[Finding]]:
    try:
        return probe.python, []
    except NoPythonError as error:
        return None, [Finding(BLOCKS, str(error), error.hint)]


def _runtime_of(
    facts: Facts, model_format: str, runtime: str | None
) -> tuple[RuntimeChoice | None, list[Finding]]:
    try:
        choice = choose_runtime(facts, model_format, runtime)
    except NoRuntimeError as error:
        if runtime is None:
            return None, [Finding(BLOCKS, *why_none(facts, model_format))]
        return None, [Finding(BLOCKS, str(error), error.hint)]
    if runtime is None and not choice.wheels:
        cause, fix = why_none(facts, model_format)
        own = f"{distribution_of(choice.distribution)} {choice.version}"
        cause = f"{cause}; the board's own {own} will be used"
        return choice, [Finding(WARNS, cause, fix)]
    return choice, []


def _fit_of(facts: Facts, model_format: str, runtime: str | None) -> FormatFit:
    try:
        return FormatFit(model_format, choose_runtime(facts, model_format, runtime))
    except NoRuntimeError as error:
        if runtime is None:
            return FormatFit(model_format, None, *why_none(facts, model_format))
        return FormatFit(model_format, None, str(error).splitlines()[0], error.hint)


def _about_the_library_path(facts: Facts, runtimes: tuple[RuntimeVerdict, ...]) -> list[Finding]:
    kept_out = [each.runtime for each in runtimes if facts.glibcxx_path in (each.refusal or "")]
    if not facts.glibcxx_path or not kept_out:
        return []
    release = kept_out[0]
    return [
        Finding(
            WARNS,
            f"{release.distribution} {release.version} does not load: {library_path_cause(facts)}",
            LIBRARY_PATH_FIX,
        )
    ]


def _about_the_root(probe: Probe) -> list[Finding]:
    fix = "Name another folder on the board as `root` of this target in kedge.toml."
    findings = []
    if probe.root_refusal:
        findings.append(Finding(BLOCKS, probe.root_refusal, fix))
    if probe.unsafe_cause:
        findings.append(Finding(BLOCKS, probe.unsafe_cause, probe.unsafe_fix))
    if "noexec" in probe.mount_options:
        cause = f"{probe.root} is mounted noexec: no runtime can be loaded from there"
        findings.append(Finding(BLOCKS, cause, fix))
    return findings


def _about_the_system(facts: Facts, choice: RuntimeChoice | None) -> list[Finding]:
    findings = []
    if facts.emulated:
        cause = "the board is emulated: its latency is never VALID"
        findings.append(Finding(WARNS, cause, "Measure on real hardware."))
    if choice and facts.machine == "armv7l" and is_64_bit_cpu(facts):
        cause = "a 32-bit system on a 64-bit CPU: int8 models run without XNNPACK's int8 kernels"
        findings.append(Finding(WARNS, cause, "Use the 64-bit image of its operating system."))
    memory, limit = facts.memory_bytes, facts.memory_limit_bytes
    if 0 < limit < TIGHT_MEMORY_BYTES and (not memory or limit < memory):
        cause = (
            f"a control group lets the login use {limit / 2**20:.0f} MiB of memory, which are "
            "tight for a runtime and a model"
        )
        findings.append(Finding(WARNS, cause, "Raise the limit of the container or of the login."))
    elif 0 < memory < TIGHT_MEMORY_BYTES:
        cause = f"{memory / 2**20:.0f} MiB of memory are tight for a runtime and a model"
        findings.append(Finding(WARNS, cause, "End what else runs there; prefer small models."))
    if 0 < facts.cpu_quota < facts.cores:
        cause = (
            f"a control group lets the login use the time of {facts.cpu_quota:.2g} cores: where "
            "that stops a process, its latency is not VALID"
        )
        findings.append(Finding(WARNS, cause, "Raise the CPU quota of the container or login."))
    return findings


def _about_accelerators(facts: Facts) -> list[Finding]:
    findings = []
    for entry in facts.accelerators:
        name = f"the accelerator {entry.kind} at {entry.path}"
        if entry.state in ("no driver", "no device node"):
            fix = "Install the kernel module: gasket-dkms (apex), then: sudo modprobe apex"
            findings.append(Finding(WARNS, f"{name} has {entry.state}", fix))
        elif not entry.usable:
            fix = f"Add the user to the group of its node: ls -l {entry.path}; then log in again."
            if entry.kind.startswith("edgetpu"):
                fix = "Add the user to the group plugdev or apex, then log in again."
            user = facts.user or "this user"
            findings.append(Finding(WARNS, f"{user} may not open {name}", fix))
        if 0 < entry.usb_mbits <= USB_2_MBITS:
            cause = f"{name} runs at {entry.usb_mbits} Mbit/s: transfers take longer"
            findings.append(
                Finding(WARNS, cause, "Plug it into a USB 3 port, where the board has one.")
            )
    return findings
