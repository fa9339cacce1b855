"""The one form in which a signed record is written: what is signed is these bytes."""

from __future__ import annotations

import calendar
import json
import re
import time
from dataclasses import asdict
from typing import Any, Dict

from device_agent.contract.records import (
    NewerRecordError,
    RecordError,
    parse_json,
    read_record,
)

#: Largest signed record.
MOST_BYTES = 1 << 20

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_TIME_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")


def canonical(plain: Dict[str, Any]) -> bytes:
    """Write a record: ASCII, keys in order, no space, one line end."""
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii") + b"\n"


def parse_canonical(text: bytes, what: str) -> Dict[str, Any]:
    """Read a record that is written in the canonical form.

    Args:
        text: Bytes that were signed.
        what: Name of the record in messages.

    Raises:
        RecordError: It is too large, no JSON object, or written in another form, so that two
            readers could understand it differently.
    """
    if len(text) > MOST_BYTES:
        raise RecordError(
            "{} has {} bytes, expected at most {}".format(what, len(text), MOST_BYTES)
        )
    plain = parse_json(text)
    if not isinstance(plain, dict) or canonical(plain) != text:
        raise RecordError("{} is not written in the canonical form".format(what))
    return plain


def parse_signed(kind: Any, text: bytes, what: str, schema: int) -> Any:
    """Read a signed record; every field of it is known to this kedge.

    Args:
        kind: Dataclass of the record, with a field `schema`.
        text: Bytes that were signed.
        what: Name of the record in messages.
        schema: Version that this kedge reads.

    Raises:
        RecordError: It is damaged, or a field has another type.
        NewerRecordError: A newer kedge wrote it.
    """
    plain = parse_canonical(text, what)
    if plain.get("schema") != schema:
        message = "{} has schema {!r}, this kedge reads {}: update kedge"
        raise NewerRecordError(message.format(what, plain.get("schema"), schema))
    record = read_record(kind, plain)
    if canonical(asdict(record)) != text:
        raise NewerRecordError("{} has fields unknown to this kedge: update kedge".format(what))
    return record


def time_text(seconds: float) -> str:
    """Return a time in UTC as ISO 8601, such as `2026-11-30T12:00:00Z`.

    Args:
        seconds: Seconds since 1970.
    """
    return time.strftime(_TIME, time.gmtime(seconds))


def parse_time(text: str, where: str) -> float:
    """Return seconds since 1970 of a time that `time_text` wrote.

    Raises:
        RecordError: It has another form.
    """
    try:
        if _TIME_FORM.match(text):
            return float(calendar.timegm(time.strptime(text, _TIME)))
    except ValueError:
        pass
    raise RecordError(
        "{}: expected a time as 2026-11-30T12:00:00Z, found {!r}".format(where, text[:40])
    )
