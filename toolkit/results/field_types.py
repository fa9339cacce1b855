"""Whether values that were read from a file have the types of their fields. Pure."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from types import NoneType
from typing import Any


def wrong_field(record: Any) -> str:
    """Name a field of a dataclass or a named tuple that has another type than it is declared with.

    Args:
        record: Dataclass or named tuple, read from JSON or a database.

    Returns:
        Name and value of the first wrong field; "" where all are right.
    """
    for name, hint in typing.get_type_hints(type(record)).items():
        value = getattr(record, name)
        if not _has_type(value, hint):
            return f"{name} is {str(value)[:60]!r}"
    return ""


def _has_type(value: Any, hint: Any) -> bool:
    """Tell whether a value has a type; JSON has lists for tuples, and whole numbers for floats."""
    if hint is Any:
        return True
    parts = typing.get_args(hint)
    kind = typing.get_origin(hint) or hint
    if kind is typing.Union:
        return any(_has_type(value, part) for part in parts)
    if kind is NoneType:
        return value is None
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    if kind is float:
        return isinstance(value, (int, float)) and math.isfinite(value)
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return isinstance(value, Mapping) and all(
            _has_type(part, hint)
            for item in value.items()
            for part, hint in zip(item, parts, strict=False)
        )
    if isinstance(kind, type) and issubclass(kind, (list, tuple)) and not hasattr(kind, "_fields"):
        inner = parts[0] if parts else Any
        return isinstance(value, (list, tuple)) and all(_has_type(part, inner) for part in value)
    if not isinstance(value, kind):
        return False
    is_record = hasattr(kind, "__dataclass_fields__") or hasattr(kind, "_fields")
    return not is_record or not wrong_field(value)
