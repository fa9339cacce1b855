"""Numbers of what is kept: 12 is a measurement, c3 a conversion. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"(c?)([1-9][0-9]{0,17})\Z")

#: Tables of the database.
RESULT, CONVERSION = "result", "conversion"


@dataclass(frozen=True)
class EntryId:
    """Number of a measurement or of a conversion."""

    table: str
    """`RESULT` or `CONVERSION`."""
    number: int

    def __str__(self) -> str:
        """Return the number as a person writes it."""
        return f"c{self.number}" if self.table == CONVERSION else str(self.number)


def parse_entry_id(text: str) -> EntryId | None:
    """Read a number such as 12 or c3; `None` for another text."""
    parts = _FORM.match(text) if text.isascii() else None
    if parts is None:
        return None
    return EntryId(CONVERSION if parts[1] else RESULT, int(parts[2]))
