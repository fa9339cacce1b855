"""What describes a release of a runtime, the wheels that bring it to a board, and a choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from packaging.version import Version


@dataclass(frozen=True)
class RuntimeRelease:
    """One release of a runtime and what it truly needs."""

    format: str
    """Name of the format of model files that it runs."""
    distribution: str
    """Name of its distribution."""
    version: str
    """Version of its distribution."""
    machines: tuple[str, ...]
    """Architectures with a wheel."""
    pythons: tuple[int, int]
    """First and last minor version of Python 3 with a wheel."""
    glibc: Version
    """Oldest version of glibc with which it loads."""
    glibcxx: Version | None
    """Oldest symbol version of libstdc++; `None` where libstdc++ is linked statically."""
    numpy_2: bool
    """Whether it also works with numpy 2."""
    about_bytes: int
    """Approximate size of its wheel, for a wheel that is not downloaded yet."""
    cpu_features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Features that its code uses without asking whether the CPU has them, by architecture."""


@dataclass(frozen=True)
class Wheel:
    """A wheel that a board needs."""

    distribution: str
    """Name of the distribution."""
    version: str
    """Version of the distribution."""
    python: str
    """Version of Python without the point, such as `311`."""
    machine: str
    """Architecture of the board."""
    about_bytes: int = field(default=0, compare=False)
    """Size, roughly; 0 where it is unknown."""


@dataclass(frozen=True)
class RuntimeChoice:
    """The runtime for a board, and what must be brought there."""

    format: str
    """Name of the format of model files that it runs."""
    distribution: str
    """Name of its distribution; `board:` in front of one that the board's Python has."""
    version: str
    """Version of its distribution; `unknown` where the board does not report it."""
    wheels: tuple[Wheel, ...]
    """Wheels to bring to the board; empty for a runtime that the board has."""


@dataclass(frozen=True)
class RuntimeVerdict:
    """Whether one release loads on a board."""

    runtime: RuntimeRelease
    """Release that was judged."""
    refusal: str | None
    """Reason why it does not load; `None` when it does."""
