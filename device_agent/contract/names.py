"""Forms of the names that travel in manifests and orders; whatever has another form is refused."""

from __future__ import annotations

import re
from typing import Iterable

from device_agent.contract.records import RecordError

_APP = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_PATH_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,99}\Z")

#: Deepest folder in which a file of a release may lie.
MOST_PATH_PARTS = 4


def require_app(name: str) -> str:
    """Return the name of an application.

    Raises:
        RecordError: It has another form.
    """
    if not _APP.match(name):
        raise RecordError(
            "app: expected small letters, digits, dots, dashes and underscores, found {!r}".format(
                name[:80]
            )
        )
    return name


def require_sha256(text: str, where: str) -> str:
    """Return a SHA-256 in small hexadecimal digits.

    Raises:
        RecordError: It has another form.
    """
    if not _SHA256.match(text):
        raise RecordError("{}: expected a SHA-256, found {!r}".format(where, text[:80]))
    return text


def require_paths(paths: Iterable[str]) -> None:
    """Refuse paths that lead out of a release, are hidden, or need one name as file and folder.

    Args:
        paths: Relative paths with `/` between their parts.

    Raises:
        RecordError: A path has another form, or one is a folder of another.
    """
    known = set()
    for path in paths:
        parts = path.split("/")
        if len(parts) > MOST_PATH_PARTS or not all(map(_PATH_PART.match, parts)):
            raise RecordError("a file of a release has the path {!r}".format(path[:120]))
        known.add(path)
    for path in known:
        parts = path.split("/")
        for count in range(1, len(parts)):
            if "/".join(parts[:count]) in known:
                raise RecordError("{!r} is a file and a folder".format("/".join(parts[:count])))
