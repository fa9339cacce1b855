"""Which numpy a runtime gets on a board: a wheel that is brought there, or the board's own. Pure.

No wheel of numpy is published for armv7l: a 32-bit board uses its own.
"""

from __future__ import annotations

from device_agent.contract.facts import Facts
from targets.runtimes.all import RUNTIMES
from targets.runtimes.release import RuntimeRelease, Wheel

#: Minor version of Python 3 to the newest numpy 1 with wheels for x86_64 and aarch64; from 3.13 on
#: there is only numpy 2.
NUMPY = {
    7: "1.21.6",
    8: "1.24.4",
    9: "1.26.4",
    10: "1.26.4",
    11: "1.26.4",
    12: "1.26.4",
    13: "2.2.6",
    14: "2.3.5",
}

#: Size of the wheel of numpy 1.26.4 for Python 3.11 on aarch64.
_ABOUT_BYTES = 14_200_000


def numpy_wheel(facts: Facts) -> Wheel:
    """Return the wheel of numpy for a board to which one is brought."""
    minor = facts.python_minor
    return Wheel("numpy", NUMPY[minor], f"3{minor}", facts.machine, _ABOUT_BYTES)


def brings_numpy(facts: Facts) -> bool:
    """Whether there is a wheel of numpy for a board."""
    fits = facts.machine in ("aarch64", "x86_64") and facts.libc.startswith("glibc")
    return fits and facts.python_minor in NUMPY


def uses_own_numpy(facts: Facts) -> bool:
    """Whether a board uses the numpy that it has, as no wheel is published for it."""
    return facts.machine == "armv7l"


def own_numpy_major(facts: Facts) -> int:
    """Return the major version of the numpy that the board's Python has; 0 where it has none."""
    major = facts.installed.get("numpy", "").split(".")[0]
    return int(major) if major.isdecimal() else 0


def own_numpy_refusal(release: RuntimeRelease, facts: Facts) -> str | None:
    """Say why a release does not load with the numpy of a board; `None` when it does."""
    major = own_numpy_major(facts)
    if major >= 1 if release.numpy_2 else major == 1:
        return None
    return (
        "needs the board's own numpy (no wheel is published for armv7l), version 1; "
        f"found: {facts.installed.get('numpy') or 'none'}"
    )


def needs_numpy_1(distribution: str) -> bool:
    """Whether every release of a runtime was built against numpy 1, and dies with numpy 2."""
    releases = [release for release in RUNTIMES if release.distribution == distribution]
    return bool(releases) and not any(release.numpy_2 for release in releases)
