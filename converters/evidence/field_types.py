"""Whether the values of a dataclass that was read from a file have the types of its fields."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

#: Largest count of bytes or operations that anything can have.
_MOST_INT = 2**63


def check_field_types(value: Any, name: str = "") -> None:
    """Refuse a dataclass with a value of another type than its field has, at any depth.

    Args:
        value: The dataclass.
        name: Name of the field that it is in, for messages.

    Raises:
        ValueError: A value has another type; the message names the field.
    """
    kind: Any = type(value)
    for field, hint in _hints(kind).items():
        _check(getattr(value, field), hint, f"{name}.{field}" if name else field)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _check(value: Any, hint: Any, name: str) -> None:
    if hint is Any:
        return
    if get_origin(hint) in (Union, types.UnionType):
        _check_any(value, get_args(hint), name)
        return
    kind: Any = get_origin(hint) or hint
    if kind is tuple and isinstance(value, tuple):
        inner = get_args(hint)
        hints = [inner[0]] * len(value) if inner[1:] == (...,) else list(inner)
        if len(hints) == len(value):
            for place, (item, of_item) in enumerate(zip(value, hints, strict=True)):
                _check(item, of_item, f"{name}[{place}]")
            return
    elif kind is Mapping and isinstance(value, Mapping):
        for key, item in value.items():
            _check(key, get_args(hint)[0], name)
            _check(item, get_args(hint)[1], f"{name}.{key}")
        return
    elif is_dataclass(kind) and type(value) is kind:
        check_field_types(value, name)
        return
    elif _is_plain(value, kind):
        return
    raise ValueError(f"{name} is {value!r:.80}, expected {getattr(kind, '__name__', kind)}")


def _is_plain(value: Any, kind: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if isinstance(value, int) and abs(value) > _MOST_INT:
        return False
    kinds = (int, float) if kind is float else kind
    return not is_dataclass(kind) and kind not in (tuple, Mapping) and isinstance(value, kinds)


def _check_any(value: Any, hints: tuple[Any, ...], name: str) -> None:
    problem = ValueError(f"{name} is {value!r:.80}")
    for hint in hints:
        try:
            _check(value, hint, name)
        except ValueError as error:
            problem = error if hint is not type(None) else problem
        else:
            return
    raise problem
