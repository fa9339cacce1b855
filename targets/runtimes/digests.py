"""The digests of all wheels that kedge may bring to a board, as they were published."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from targets.runtimes.release import Wheel
from targets.runtimes.wheel_name import is_wheel

#: File of one line for each wheel, `SHA-256  file name`, as `sha256sum --check` reads it.
DIGESTS = Path(__file__).with_name("wheels.sha256")


def published_digests(wheel: Wheel) -> frozenset[str]:
    """Return the SHA-256 of the published files of a wheel; empty for one that kedge lacks."""
    return frozenset(digest for name, digest in _digests().items() if is_wheel(name, wheel))


@cache
def _digests() -> dict[str, str]:
    """Return the SHA-256 of each published file by its name."""
    lines = DIGESTS.read_text("utf-8").splitlines()
    pairs = (line.split() for line in lines if not line.startswith("#"))
    return {name: digest for digest, name in pairs}
