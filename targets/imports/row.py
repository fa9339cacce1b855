"""One board of a list, as the list has it, before anything of it is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from targets.errors import TargetError

#: Most boards of one list.
MOST_ROWS = 100_000
#: Largest list in bytes.
MOST_LIST_BYTES = 64 << 20


class TargetListError(TargetError):
    """A list of boards cannot be read, or holds boards that are not right; nothing was written."""

    exit_code = 3


@dataclass(frozen=True)
class TargetRow:
    """A board of a list."""

    line: int
    """Number of the line, from 1."""
    name: str
    address: str
    """`[USER@]HOST[:PORT]`, or `local`."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Values by field of `Target`: `board`, `jump`, `identity`, `root`, `host_key` and
    `host_key_type`."""
    labels: Mapping[str, str] = field(default_factory=dict)
