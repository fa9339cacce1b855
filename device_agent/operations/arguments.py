"""Typed access to what a request carries; a wrong field is the host's fault."""

from __future__ import annotations

import re
import reprlib
from typing import Any, Dict, List, NoReturn

from device_agent.contract.codes import BAD_REQUEST, RefusalError

_DAY_S = 86400


class Arguments:
    """The fields of a request. Each method refuses a field of another type or out of bounds."""

    def __init__(self, fields: Dict[str, Any]) -> None:
        self._fields = fields

    def with_defaults(self, defaults: Dict[str, Any]) -> Arguments:
        """Return these arguments, with defaults for the fields that are missing."""
        return Arguments(dict(defaults, **self._fields))

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def text(self, name: str) -> str:
        """Return a string."""
        value = self._fields.get(name)
        if not isinstance(value, str):
            _refuse(name, "a string", value)
        return value

    def digest(self, name: str) -> str:
        """Return a SHA-256."""
        value = self.text(name)
        if not re.match(r"[0-9a-f]{64}\Z", value):
            _refuse(name, "a SHA-256 digest", value)
        return value

    def count(self, name: str, least: int = 0, most: int = 1 << 62) -> int:
        """Return a whole number from `least` to `most`."""
        value = self._fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            _refuse(name, "a whole number from {} to {}".format(least, most), value)
        return value

    def seconds(self, name: str) -> float:
        """Return a number of seconds, at most a day."""
        value = self._fields.get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            _refuse(name, "seconds", value)
        if not 0 <= value <= _DAY_S:
            _refuse(name, "seconds from 0 to a day", value)
        return float(value)

    def truth(self, name: str) -> bool:
        """Return true or false."""
        value = self._fields.get(name)
        if not isinstance(value, bool):
            _refuse(name, "true or false", value)
        return value

    def sizes(self, name: str) -> List[int]:
        """Return a list of whole numbers."""
        values = self._fields.get(name)
        if not isinstance(values, list) or not all(type(value) is int for value in values):
            _refuse(name, "a list of whole numbers", values)
        return values

    def record(self, name: str) -> Dict[str, Any]:
        """Return an object."""
        value = self._fields.get(name)
        if not isinstance(value, dict):
            _refuse(name, "an object", value)
        return value

    def texts(self, name: str) -> List[str]:
        """Return a list of strings."""
        values = self._fields.get(name)
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            _refuse(name, "a list of strings", values)
        return values

    def records(self, name: str) -> List[Dict[str, Any]]:
        """Return a list of objects."""
        values = self._fields.get(name)
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            _refuse(name, "a list of objects", values)
        return values


def _refuse(name: str, expected: str, found: object) -> NoReturn:
    message = "field {} must be {}, found {}".format(name, expected, reprlib.repr(found))
    raise RefusalError(BAD_REQUEST, message)
