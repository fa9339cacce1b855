"""Why no runtime loads on a board, and what helps. Pure."""

from __future__ import annotations

from device_agent.contract.facts import Facts
from targets.errors import TargetError
from targets.runtimes.all import RUNTIMES, releases_for
from targets.runtimes.fit import missing_features, odd_build
from targets.runtimes.numpy_wheels import own_numpy_major, uses_own_numpy

#: Next step where a libstdc++ in LD_LIBRARY_PATH keeps a runtime from loading.
LIBRARY_PATH_FIX = (
    "Take its folder out of LD_LIBRARY_PATH in the start files of the login, such as .bashrc."
)


class NoRuntimeError(TargetError):
    """No runtime for the format of a model loads on this board."""


def why_none(facts: Facts, model_format: str) -> tuple[str, str]:
    """Say in one sentence each why no runtime loads on a board, and what helps.

    Args:
        facts: Facts about a board on which no release for the format loads.
        model_format: Name of the format of the model files to run.

    Returns:
        Cause and fix.
    """
    machine, python = facts.machine, facts.python
    releases = [release for release in releases_for(model_format) if machine in release.machines]
    if not releases:
        return f"{machine}: no runtime is built for it", _without_build(facts, model_format)
    if not facts.libc.startswith("glibc"):
        cause = f"its C library is {facts.libc or 'unknown'}, the runtimes need glibc"
        return cause, "Use a Debian, Ubuntu or Yocto image with glibc, not musl."
    if all(missing_features(release, facts) for release in releases):
        missing = " and ".join(missing_features(releases[0], facts))
        return (
            f"its CPU has no {missing}, which every runtime for {machine} uses",
            "Use a board with a newer core (Cortex-A7 or later).",
        )
    build = odd_build(facts)
    if build:
        return (
            f"no runtime is built for {build} ({facts.python_executable})",
            "Install the usual Python (CPython) on the board beside it, or name one as `python` "
            "of this target in kedge.toml.",
        )
    first = min(release.pythons[0] for release in releases)
    last = max(release.pythons[1] for release in releases)
    if not first <= facts.python_minor <= last:
        return (
            f"{machine} with Python {python}: no runtime exists",
            _other_python(facts, f"3.{first} to 3.{last}"),
        )
    if uses_own_numpy(facts) and own_numpy_major(facts) != 1:
        numpy = f"numpy {facts.installed['numpy']}" if own_numpy_major(facts) else "no numpy"
        return (
            f"{machine} needs the board's own numpy 1, and Python {python} has {numpy}",
            "Install numpy 1 on the board: sudo apt-get install python3-numpy",
        )
    if facts.glibcxx_path:
        return library_path_cause(facts), LIBRARY_PATH_FIX
    return (
        f"Python {python}, {facts.libc} and GLIBCXX {facts.glibcxx or 'none'} "
        "together fit no release",
        "Use an operating system image with a newer glibc, or Python 3.9 to 3.13.",
    )


def library_path_cause(facts: Facts) -> str:
    """Say which libstdc++ the login's LD_LIBRARY_PATH puts before the system's."""
    return (
        f"LD_LIBRARY_PATH of the login puts {facts.glibcxx_path} first, which has GLIBCXX "
        f"{facts.glibcxx} only"
    )


def is_64_bit_cpu(facts: Facts) -> bool:
    """Whether the CPU could run a 64-bit image, whatever runs on it now."""
    # Of ARM's own cores those from 0xd00 on are 64-bit (Linux, arch/arm64/include/asm/cputype.h).
    return facts.kernel_machine in ("aarch64", "armv8l") or any(
        kind.part.startswith("0xd") for kind in facts.core_classes
    )


def _without_build(facts: Facts, model_format: str) -> str:
    """Next step where no release of the format is built for the architecture of a board."""
    other = _other_machine(facts)
    others = {release.format for release in RUNTIMES if facts.machine in release.machines}
    if not others - {model_format}:
        return other
    return f"{other} Or use a file of the other format, which runs there: .{min(others)}."


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
