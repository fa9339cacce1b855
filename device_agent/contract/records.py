"""Reads records out of JSON that is not trusted: every value has its type, and a size.

A board may be broken, or somebody else's. The reader of a message bounds what a message may hold,
and the reader of a record checks it against the annotations of the record's class.
"""

from __future__ import annotations

import json
import math
from typing import Any, Dict, Mapping, Tuple, Type, TypeVar, get_type_hints

#: Deepest nesting of objects and lists; the deepest of our own messages has 7.
MOST_DEPTH = 32

#: Whole numbers are signed ones of 64 bits: times in nanoseconds, sizes in bytes.
MOST_WHOLE = 1 << 63

#: Digits of a number, whatever it is; longer ones take a computer long to read.
_MOST_DIGITS = 40

#: Types that a plain annotation takes, and how a message calls them.
_PLAIN: Dict[Any, Tuple[Tuple[type, ...], str]] = {
    str: ((str,), "a text"),
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
}

R = TypeVar("R")

_hints: Dict[type, Dict[str, Any]] = {}


class RecordError(ValueError):
    """Something in a JSON text is not what it should be: whoever wrote it is broken, or a liar."""


class NewerRecordError(RecordError):
    """A newer kedge wrote a record: this one must be updated to read it."""


def parse_json(text: bytes) -> Any:
    """Read JSON; every number in it is finite, and every text can be written as UTF-8.

    Raises:
        RecordError: It is no JSON in UTF-8, is nested too deep, or a number is too large.
    """
    try:
        value = json.loads(
            text.decode("utf-8"),
            parse_float=_finite,
            parse_int=_whole,
            parse_constant=_refuse_constant,
        )
    except RecordError:
        raise
    except (ValueError, RecursionError, MemoryError) as error:
        raise RecordError("not JSON: {}".format(type(error).__name__)) from error
    return _clean(value, 0)


def read_record(kind: Type[R], plain: Any) -> R:
    """Read a dataclass or a named tuple, passing over what a newer agent may have added.

    Args:
        kind: Class of the record.
        plain: JSON object.

    Raises:
        RecordError: A field is absent and has no default, or has another type.
    """
    if not isinstance(plain, dict):
        raise RecordError("expected {} as an object, found {}".format(kind.__name__, _kind(plain)))
    if kind not in _hints:
        _hints[kind] = get_type_hints(kind)
    values = {
        name: read_value(hint, plain[name], "{}.{}".format(kind.__name__, name))
        for name, hint in _hints[kind].items()
        if name in plain
    }
    try:
        return kind(**values)
    except TypeError as error:
        absent = ", ".join(name for name in _hints[kind] if name not in values)
        raise RecordError("{}: absent are {}".format(kind.__name__, absent)) from error


def read_shown(kind: Type[R], plain: Any) -> R:
    """Read a record whose texts are shown to people: each of them is made to keep to one line.

    Raises:
        RecordError: A field is absent and has no default, or has another type.
    """
    return read_record(kind, on_one_line(plain))


def on_one_line(value: Any) -> Any:
    """Return a JSON value with a space for each end of a line in its texts.

    A text of a board could otherwise end a line of kedge's, and write the next one itself.
    """
    if isinstance(value, str):
        return " ".join(value.splitlines())
    if isinstance(value, (list, tuple)):
        return [on_one_line(entry) for entry in value]
    if isinstance(value, dict):
        return {on_one_line(key): on_one_line(entry) for key, entry in value.items()}
    return value


def read_value(hint: Any, value: Any, where: str) -> Any:
    """Check a value against a type annotation.

    Args:
        hint: Annotation: a plain type, a record, or a list, dict, tuple or optional of these.
        value: Value out of a JSON text.
        where: Name of the field, for the message.

    Raises:
        RecordError: It has another type.
    """
    origin = getattr(hint, "__origin__", None)
    parts = list(getattr(hint, "__args__", ()))
    if hint is Any:
        return value
    if type(None) in parts:
        if value is None:
            return None
        return read_value(next(part for part in parts if part is not type(None)), value, where)
    if origin in (list, tuple):
        if not isinstance(value, (list, tuple)):
            raise _wrong(where, "a list", value)
        return origin(read_value(parts[0], entry, where) for entry in value)
    if isinstance(origin, type):  # a dict, or another mapping
        if not isinstance(value, dict):
            raise _wrong(where, "an object", value)
        return {str(key): read_value(parts[1], entry, where) for key, entry in value.items()}
    return _read_plain(hint, value, where)


def read_count(plain: Mapping[str, Any], name: str, most: int) -> int:
    """Return a number from 0 to `most` in a JSON object.

    Raises:
        RecordError: It is absent, or something else.
    """
    number = int(read_value(int, plain.get(name), name))
    if not 0 <= number <= most:
        raise RecordError("{}: expected 0 to {}, found {}".format(name, most, number))
    return number


def _read_plain(hint: Any, value: Any, where: str) -> Any:
    if hint not in _PLAIN:
        return read_record(hint, value)
    kinds, words = _PLAIN[hint]
    if type(value) not in kinds:
        raise _wrong(where, words, value)
    if hint in (int, float) and not -MOST_WHOLE < value < MOST_WHOLE:
        raise _wrong(where, words + " of 64 bits", value)
    return value


def _clean(value: Any, depth: int) -> Any:
    if depth > MOST_DEPTH:
        raise RecordError("nested deeper than {}".format(MOST_DEPTH))
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_clean(entry, depth + 1) for entry in value]
    if isinstance(value, dict):
        return {_clean(key, depth): _clean(entry, depth + 1) for key, entry in value.items()}
    return value


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise RecordError("a number of {} digits".format(len(text)))
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise RecordError("a number that is not finite")
    return value


def _refuse_constant(text: str) -> Any:
    raise RecordError("a number that is not finite: {}".format(text))


def _kind(value: Any) -> str:
    return repr(value)[:60] if isinstance(value, (str, int, float)) else type(value).__name__


def _wrong(where: str, expected: str, value: Any) -> RecordError:
    return RecordError("{}: expected {}, found {}".format(where, expected, _kind(value)))
