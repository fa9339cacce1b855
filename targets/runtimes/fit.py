"""Which releases load on a board, and what must be brought there for one. Pure.

A wheel's tag is not the truth: the needs of a release are in the file of its family.
"""

from __future__ import annotations

from packaging.version import InvalidVersion, Version

from device_agent.contract.facts import Facts
from targets.runtimes.all import RUNTIMES, releases_for
from targets.runtimes.numpy_wheels import NUMPY, numpy_wheel, own_numpy_refusal, uses_own_numpy
from targets.runtimes.release import (
    RuntimeChoice,
    RuntimeRelease,
    RuntimeVerdict,
    Wheel,
)

#: Names that a 64-bit kernel gives to units which a 32-bit kernel calls otherwise.
_64_BIT_NAMES = {"vfpv4": "asimd", "neon": "asimd"}

#: Size of a wheel for x86_64, where wheels are up to a half larger, over that for aarch64.
_X86_SIZE_RATIO = 1.4

#: Version of a library that the board lacks, or does not report.
_NONE = Version("0")


def judge_runtimes(facts: Facts, model_format: str) -> tuple[RuntimeVerdict, ...]:
    """Judge of every release for a format whether it loads on a board, the preferred one first.

    Args:
        facts: Facts about the board, of its agent or of the probe.
        model_format: Name of the format of the model files to run.
    """
    return tuple(
        RuntimeVerdict(release, _refusal(release, facts)) for release in releases_for(model_format)
    )


def choice_of(release: RuntimeRelease, facts: Facts) -> RuntimeChoice:
    """Return the choice of a release that loads on a board."""
    wheel = Wheel(
        release.distribution,
        release.version,
        f"3{facts.python_minor}",
        facts.machine,
        release.about_bytes,
    )
    wheels = (wheel,) if uses_own_numpy(facts) else (wheel, numpy_wheel(facts))
    return RuntimeChoice(release.format, release.distribution, release.version, wheels)


def rank(facts: Facts) -> int:
    """Rank the runtime that a board gets: 0 is the best, the last is none at all."""
    for position, release in enumerate(RUNTIMES):
        if _refusal(release, facts) is None:
            return position
    return len(RUNTIMES)


def unbeatable_pythons() -> frozenset[int]:
    """Return the minor versions of Python 3 that no other can beat, on any 64-bit board.

    The newest release of every distribution of the preferred format has a wheel for them; what else
    decides (glibc, libstdc++) is equal for all Pythons of a board.
    """
    newest: dict[str, RuntimeRelease] = {}
    for release in releases_for(RUNTIMES[0].format):
        newest.setdefault(release.distribution, release)
    minors = [set(range(first, last + 1)) for first, last in (r.pythons for r in newest.values())]
    return frozenset(set.intersection(*minors))


def every_wheel() -> frozenset[Wheel]:
    """Return all wheels that kedge may bring to a board."""
    wheels: set[Wheel] = set()
    for release in RUNTIMES:
        for machine in release.machines:
            for minor in range(release.pythons[0], release.pythons[1] + 1):
                facts = Facts(machine=machine, python=f"3.{minor}.0")
                wheels.update(choice_of(release, facts).wheels)
    return frozenset(wheels)


def about_wheel_bytes(wheel: Wheel) -> int:
    """Estimate the size of a wheel."""
    return round(wheel.about_bytes * (_X86_SIZE_RATIO if wheel.machine == "x86_64" else 1.0))


def missing_features(release: RuntimeRelease, facts: Facts) -> list[str]:
    """Return the features that a release needs and the CPU lacks.

    None, where the board does not report its features, or is emulated.
    """
    present = facts.cpu_features
    if not present or facts.emulated:
        return []
    features = release.cpu_features.get(facts.machine, ())
    return [
        name for name in features if name not in present and _64_BIT_NAMES.get(name) not in present
    ]


def odd_build(facts: Facts) -> str:
    """Return what the Python of a board is where no wheel of a runtime fits it; empty for a usual.

    From Python 3.8 on, a debug build loads the extension modules of a usual one (PEP 3149).
    """
    if facts.implementation not in ("", "cpython"):
        return f"the Python {facts.implementation}"
    if "t" in facts.abi_flags:
        return "a free-threaded Python"
    if "d" in facts.abi_flags and facts.python_minor < 8:
        return "a debug build of Python 3.7"
    return ""


def _refusal(release: RuntimeRelease, facts: Facts) -> str | None:
    """Say why a release does not load, or `None` when it does."""
    minor = facts.python_minor
    if facts.machine not in release.machines:
        return f"no build for {facts.machine} that kedge uses"
    build = odd_build(facts)
    if build:
        return f"no build for {build}"
    if not release.pythons[0] <= minor <= release.pythons[1]:
        return "builds for Python 3.{} to 3.{} only".format(*release.pythons)
    library = _library_refusal(release, facts)
    if library is not None:
        return library
    missing = missing_features(release, facts)
    if missing:
        return f"uses {' and '.join(missing)}, which the CPU does not have: it would die of SIGILL"
    if not release.numpy_2 and NUMPY[minor].startswith("2."):
        return "needs numpy 1, which has no build for this Python"
    return own_numpy_refusal(release, facts) if uses_own_numpy(facts) else None


def _library_refusal(release: RuntimeRelease, facts: Facts) -> str | None:
    libc = facts.libc
    glibc = _version(libc.removeprefix("glibc")) if libc.startswith("glibc") else _NONE
    if glibc < release.glibc:
        return f"needs glibc {release.glibc}, the board has {libc or 'none'}"
    if release.glibcxx and _version(facts.glibcxx) < release.glibcxx:
        newest = facts.glibcxx or "no libstdc++"
        where = f" in {facts.glibcxx_path} (of LD_LIBRARY_PATH)" if facts.glibcxx_path else ""
        return f"needs GLIBCXX_{release.glibcxx}, the board has {newest}{where}"
    return None


def _version(text: str) -> Version:
    """Read the version of a library; of what is no version, the oldest of all."""
    try:
        return Version(text)
    except InvalidVersion:
        return _NONE
