"""Which TFLite runtime a board can load. Pure: facts in, a choice out, nothing is sent.

A wheel's tag is not the truth: `ai-edge-litert` 2.3 is tagged for glibc 2.27 and needs 2.34,
`tflite-runtime` 2.14 is tagged for 2.34 and needs 2.27. The needs below were read from the symbol
tables of the wheels themselves (ELF version needs of the shared objects inside).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from device_agent.contract.facts import Facts
from targets.errors import TargetError

Version = tuple[int, ...]


class NoRuntimeError(TargetError):
    """No TFLite runtime loads on this board."""


@dataclass(frozen=True)
class Runtime:
    """One release of a runtime and what it truly needs."""

    distribution: str
    version: str
    machines: tuple[str, ...]
    pythons: tuple[int, int]
    """First and last minor version of Python 3 with a wheel."""
    glibc: Version
    glibcxx: Version | None
    """Symbol version of libstdc++; `None` where it is linked statically."""
    numpy_2: bool
    """Whether it also works with numpy 2."""
    cpu_features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By architecture: what its code uses without asking whether the CPU has it."""


@dataclass(frozen=True)
class Wheel:
    """A wheel that a board needs."""

    distribution: str
    version: str
    python: str
    """Such as `311`."""
    machine: str


@dataclass(frozen=True)
class RuntimeChoice:
    """The runtime for a board, and what must be brought there."""

    distribution: str
    version: str
    wheels: tuple[Wheel, ...]


@dataclass(frozen=True)
class RuntimeVerdict:
    """Whether one release loads on a board."""

    runtime: Runtime
    refusal: str | None
    """Why it does not load; `None` when it does."""


#: The 32-bit wheels are compiled for VFPv4 and NEON with fused multiply-add, which Cortex-A8 and A9
#: do not have: SIGILL at import or at the first inference (tensorflow issue 42906). A 64-bit kernel
#: calls the same units `asimd`.
_ARMV7L_NEEDS = {"armv7l": ("vfpv4", "neon")}
_64_BIT_NAMES = {"vfpv4": "asimd", "neon": "asimd"}


def _tflite_runtime(version: str, pythons: tuple[int, int]) -> Runtime:
    return Runtime(
        distribution="tflite-runtime",
        version=version,
        machines=("aarch64", "armv7l", "x86_64"),
        pythons=pythons,
        glibc=(2, 27),
        glibcxx=None,
        numpy_2=False,
        cpu_features=_ARMV7L_NEEDS,
    )


#: Newest first: ai-edge-litert is preferred wherever it loads (its int8 kernels are the faster
#: ones), then the newest tflite-runtime.
RUNTIMES = (
    Runtime("ai-edge-litert", "2.3.0", ("aarch64", "x86_64"), (10, 14), (2, 34), (3, 4, 30), True),
    Runtime("ai-edge-litert", "2.1.0", ("aarch64",), (9, 13), (2, 30), (3, 4, 26), True),
    _tflite_runtime("2.14.0", (9, 11)),
    _tflite_runtime("2.13.0", (8, 10)),
    _tflite_runtime("2.11.0", (7, 9)),
)

#: The newest numpy 1 with wheels for Python 3.x on x86_64 and aarch64; from 3.13 on only numpy 2.
_NUMPY = {
    7: "1.21.6",
    8: "1.24.4",
    9: "1.26.4",
    10: "1.26.4",
    11: "1.26.4",
    12: "1.26.4",
    13: "2.2.6",
    14: "2.3.5",
}


#: About what a wheel weighs, for who has not downloaded it yet: the cp311 wheels of the newest
#: release for aarch64; those for x86_64 are up to a half larger.
_ABOUT_WHEEL_BYTES = {
    "ai-edge-litert": 14_400_000,
    "tflite-runtime": 2_400_000,
    "numpy": 14_200_000,
}


def about_wheel_bytes(wheel: Wheel) -> int:
    """Estimate the size of a wheel."""
    larger = 1.4 if wheel.machine == "x86_64" else 1.0
    return round(_ABOUT_WHEEL_BYTES[wheel.distribution] * larger)


def judge_runtimes(facts: Facts) -> tuple[RuntimeVerdict, ...]:
    """Tell of every runtime whether it will load on a board, the preferred one first.

    Args:
        facts: What the agent, or the probe, says of the board.
    """
    return tuple(RuntimeVerdict(runtime, _refusal(runtime, facts)) for runtime in RUNTIMES)


def choose_runtime(facts: Facts) -> RuntimeChoice:
    """Choose the best runtime that loads on a board.

    Args:
        facts: What the agent says of its board.

    Raises:
        NoRuntimeError: None loads; the message says why for each, the hint what to do.
    """
    verdicts = judge_runtimes(facts)
    for verdict in verdicts:
        if verdict.refusal is None:
            runtime = verdict.runtime
            return RuntimeChoice(runtime.distribution, runtime.version, wheels_of(runtime, facts))
    cause, fix = why_none(facts)
    raise NoRuntimeError(
        f"no TFLite runtime loads on this board: {cause}"
        + "".join(
            f"\n  {verdict.runtime.distribution} {verdict.runtime.version}: {verdict.refusal}"
            for verdict in verdicts
        ),
        fix,
    )


def rank(facts: Facts) -> int:
    """Tell how good the runtime is that a board gets: 0 is the best, the last is none at all."""
    for position, verdict in enumerate(judge_runtimes(facts)):
        if verdict.refusal is None:
            return position
    return len(RUNTIMES)


def unbeatable_pythons() -> frozenset[int]:
    """Return the minor versions of Python 3 that no other can beat, on any 64-bit board.

    The newest release of every distribution has a wheel for them; what else decides (glibc,
    libstdc++) is the same for all Pythons of a board.
    """
    newest: dict[str, Runtime] = {}
    for runtime in RUNTIMES:
        newest.setdefault(runtime.distribution, runtime)
    covered = [set(range(first, last + 1)) for first, last in (r.pythons for r in newest.values())]
    return frozenset(set.intersection(*covered))


def why_none(facts: Facts) -> tuple[str, str]:
    """Say in one sentence each why no runtime loads on a board, and what helps.

    Args:
        facts: Of a board for which `choose_runtime` finds none.
    """
    machine, python = facts.machine, facts.python
    built = [runtime for runtime in RUNTIMES if machine in runtime.machines]
    if not built:
        return f"{machine}: no runtime is built for it", _other_machine(facts)
    if not facts.libc.startswith("glibc"):
        cause = f"its C library is {facts.libc or 'unknown'}, the runtimes need glibc"
        return cause, "Use a Debian, Ubuntu or Yocto image with glibc, not musl."
    if all(_missing_features(runtime, facts) for runtime in built):
        missing = " and ".join(_missing_features(built[0], facts))
        return (
            f"its CPU has no {missing}, which every runtime for {machine} uses",
            "Use a board with a newer core (Cortex-A7 or later).",
        )
    first = min(runtime.pythons[0] for runtime in built)
    last = max(runtime.pythons[1] for runtime in built)
    if not first <= facts.python_minor <= last:
        return (
            f"{machine} with Python {python}: no runtime exists",
            _other_python(facts, f"3.{first} to 3.{last}"),
        )
    if _numpy_is_the_boards(facts) and _board_numpy(facts)[:1] != (1,):
        found = f"numpy {facts.installed['numpy']}" if _board_numpy(facts) else "no numpy"
        return (
            f"{machine} needs the board's own numpy 1, and Python {python} has {found}",
            "Install numpy 1 on the board: sudo apt-get install python3-numpy",
        )
    return (
        f"Python {python}, {facts.libc} and GLIBCXX {facts.glibcxx or 'none'} "
        "together fit no release",
        "Use an operating system image with a newer glibc, or Python 3.9 to 3.13.",
    )


def is_64_bit_cpu(facts: Facts) -> bool:
    """Tell whether the CPU could run a 64-bit image, whatever runs on it now."""
    # Of ARM's own cores those from 0xd00 on are 64-bit (Linux, arch/arm64/include/asm/cputype.h).
    return facts.kernel_machine in ("aarch64", "armv8l") or any(
        kind.part.startswith("0xd") for kind in facts.core_classes
    )


def _other_machine(facts: Facts) -> str:
    if is_64_bit_cpu(facts):
        return "Use the 64-bit image of the board's operating system: its CPU can run one."
    return "Use a board with a 64-bit ARM CPU and a 64-bit image (Raspberry Pi Zero 2 W or newer)."


def _other_python(facts: Facts, range_text: str) -> str:
    if facts.machine == "armv7l" and is_64_bit_cpu(facts):
        return "Use the 64-bit image of the board's operating system: its CPU can run one."
    if facts.machine == "armv7l":
        return f"Use an image with Python {range_text}, or a board that runs a 64-bit image."
    return f"Install Python {range_text} on the board, beside the one that is there."


def _refusal(runtime: Runtime, facts: Facts) -> str | None:
    """Say why a runtime does not load, or `None` when it does."""
    minor = facts.python_minor
    if facts.machine not in runtime.machines:
        return f"no build for {facts.machine} that kedge uses"
    if not runtime.pythons[0] <= minor <= runtime.pythons[1]:
        return "builds for Python 3.{} to 3.{} only".format(*runtime.pythons)
    library = _library_refusal(runtime, facts)
    if library is not None:
        return library
    missing = _missing_features(runtime, facts)
    if missing:
        return f"uses {' and '.join(missing)}, which the CPU does not have: it would die of SIGILL"
    if not runtime.numpy_2 and _NUMPY[minor].startswith("2."):
        return "needs numpy 1, which has no build for this Python"
    if _numpy_is_the_boards(facts) and not _board_numpy_fits(runtime, facts):
        found = facts.installed.get("numpy") or "none"
        return (
            "needs the board's own numpy (no wheel is published for armv7l), version 1; "
            f"found: {found}"
        )
    return None


def _library_refusal(runtime: Runtime, facts: Facts) -> str | None:
    libc = facts.libc
    glibc = _version(libc.replace("glibc", "")) if libc.startswith("glibc") else ()
    if glibc < runtime.glibc:
        return f"needs glibc {_text(runtime.glibc)}, the board has {libc or 'none'}"
    if runtime.glibcxx and _version(facts.glibcxx) < runtime.glibcxx:
        found = facts.glibcxx or "no libstdc++"
        return f"needs GLIBCXX_{_text(runtime.glibcxx)}, the board has {found}"
    return None


def _missing_features(runtime: Runtime, facts: Facts) -> list[str]:
    """What the CPU lacks; nothing where it did not tell, or where another CPU plays its part."""
    present = facts.cpu_features
    if not present or facts.emulated:
        return []
    needed = runtime.cpu_features.get(facts.machine, ())
    return [
        name for name in needed if name not in present and _64_BIT_NAMES.get(name) not in present
    ]


def wheels_of(runtime: Runtime, facts: Facts) -> tuple[Wheel, ...]:
    """Return what must be brought to a board for a runtime that loads there."""
    python, machine = f"3{facts.python_minor}", facts.machine
    wheels = [Wheel(runtime.distribution, runtime.version, python, machine)]
    if not _numpy_is_the_boards(facts):
        wheels.append(Wheel("numpy", _NUMPY[facts.python_minor], python, machine))
    return tuple(wheels)


def _numpy_is_the_boards(facts: Facts) -> bool:
    return facts.machine == "armv7l"


def _board_numpy_fits(runtime: Runtime, facts: Facts) -> bool:
    found = _board_numpy(facts)
    return found >= (1,) if runtime.numpy_2 else (1,) <= found < (2,)


def _board_numpy(facts: Facts) -> Version:
    return _version(facts.installed.get("numpy", ""))


def _version(text: str) -> Version:
    parts = text.strip().split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def _text(version: Version) -> str:
    return ".".join(str(part) for part in version)
