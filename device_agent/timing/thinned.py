"""A list that never grows beyond its places, and still is evenly spread over all that came."""

from __future__ import annotations

from typing import Any, List


class ThinnedList:
    """When the places are used up, every second entry goes, and then only every second comes in."""

    def __init__(self, places: int) -> None:
        self.entries: List[Any] = []
        self._places = places
        self._stride = 1
        self._count = 0

    def add(self, entry: Any) -> None:
        """Keep an entry, if it is its turn."""
        if self._count % self._stride == 0:
            if len(self.entries) == self._places:
                del self.entries[1::2]
                self._stride *= 2
            if self._count % self._stride == 0:
                self.entries.append(entry)
        self._count += 1

    def add_last(self, entry: Any) -> None:
        """Keep an entry in any case."""
        self.entries.append(entry)
