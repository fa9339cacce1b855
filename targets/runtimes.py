"""Which TFLite runtime a board can load. Pure: facts in, a choice out, nothing is sent.

A wheel's tag is not the truth: `ai-edge-litert` 2.3 is tagged for glibc 2.27 and needs 2.34,
`tflite-runtime` 2.14 is tagged for 2.34 and needs 2.27. The needs below were read from the symbol
tables of the wheels themselves (ELF version needs of the shared objects inside).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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


#: Newest first: ai-edge-litert is preferred wherever it loads (its int8 kernels are the faster
#: ones), then the newest tflite-runtime.
RUNTIMES = (
    Runtime("ai-edge-litert", "2.3.0", ("aarch64", "x86_64"), (10, 14), (2, 34), (3, 4, 30), True),
    Runtime("ai-edge-litert", "2.1.0", ("aarch64",), (9, 13), (2, 30), (3, 4, 26), True),
    Runtime(
        "tflite-runtime", "2.14.0", ("aarch64", "armv7l", "x86_64"), (9, 11), (2, 27), None, False
    ),
    Runtime(
        "tflite-runtime", "2.13.0", ("aarch64", "armv7l", "x86_64"), (8, 10), (2, 27), None, False
    ),
    Runtime(
        "tflite-runtime", "2.11.0", ("aarch64", "armv7l", "x86_64"), (7, 9), (2, 27), None, False
    ),
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


def choose_runtime(facts: Mapping[str, Any]) -> RuntimeChoice:
    """Choose the best runtime that loads on a board.

    Args:
        facts: What the agent says of its board.

    Raises:
        NoRuntimeError: None loads; the message says why for each, the hint what to do.
    """
    refusals = []
    for runtime in RUNTIMES:
        refusal = _refusal(runtime, facts)
        if refusal is None:
            return RuntimeChoice(runtime.distribution, runtime.version, _wheels(runtime, facts))
        refusals.append(f"{runtime.distribution} {runtime.version}: {refusal}")
    raise NoRuntimeError(
        "no TFLite runtime loads on this board ({machine}, Python {python}, {libc})".format(
            machine=facts["machine"], python=facts["python"], libc=facts["libc"] or "no glibc"
        )
        + "".join(f"\n  {line}" for line in refusals),
        _way_out(facts),
    )


def _refusal(runtime: Runtime, facts: Mapping[str, Any]) -> str | None:
    """Say why a runtime does not load, or `None` when it does."""
    minor = _minor(facts)
    glibc = _version(str(facts["libc"]).replace("glibc", ""))
    glibcxx = _version(str(facts["glibcxx"]))
    if facts["machine"] not in runtime.machines:
        return f"no build for {facts['machine']}"
    if not runtime.pythons[0] <= minor <= runtime.pythons[1]:
        return "builds for Python 3.{} to 3.{} only".format(*runtime.pythons)
    if glibc < runtime.glibc:
        return f"needs glibc {_text(runtime.glibc)}, the board has {facts['libc'] or 'none'}"
    if runtime.glibcxx and glibcxx < runtime.glibcxx:
        found = facts["glibcxx"] or "no libstdc++"
        return f"needs GLIBCXX_{_text(runtime.glibcxx)}, the board has {found}"
    if not runtime.numpy_2 and _NUMPY[minor].startswith("2."):
        return "needs numpy 1, which has no build for this Python"
    if _numpy_is_the_boards(facts) and not _board_numpy_fits(runtime, facts):
        return "needs the board's own numpy (no wheel is published for armv7l), version 1"
    return None


def _wheels(runtime: Runtime, facts: Mapping[str, Any]) -> tuple[Wheel, ...]:
    python, machine = f"3{_minor(facts)}", str(facts["machine"])
    wheels = [Wheel(runtime.distribution, runtime.version, python, machine)]
    if not _numpy_is_the_boards(facts):
        wheels.append(Wheel("numpy", _NUMPY[_minor(facts)], python, machine))
    return tuple(wheels)


def _numpy_is_the_boards(facts: Mapping[str, Any]) -> bool:
    return str(facts["machine"]) == "armv7l"


def _board_numpy_fits(runtime: Runtime, facts: Mapping[str, Any]) -> bool:
    found = _version(str(facts["installed"].get("numpy") or ""))
    return found >= (1,) if runtime.numpy_2 else (1,) <= found < (2,)


def _way_out(facts: Mapping[str, Any]) -> str:
    if _numpy_is_the_boards(facts) and _minor(facts) <= 11:
        return "Install numpy 1 on the board: sudo apt-get install python3-numpy"
    if facts["machine"] in ("armv7l", "armv6l"):
        return "Use a 64-bit image of the board's operating system, where its CPU can run one."
    if not facts["libc"]:
        return "The runtimes need glibc: use a Debian, Ubuntu or Yocto image, not musl."
    return "Use an operating system image with a newer glibc, or Python 3.9 to 3.13."


def _minor(facts: Mapping[str, Any]) -> int:
    return int(str(facts["python"]).split(".")[1])


def _version(text: str) -> Version:
    parts = text.strip().split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def _text(version: Version) -> str:
    return ".".join(str(part) for part in version)
