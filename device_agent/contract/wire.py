"""The wire: one JSON object a line, then, where a message announces it, exactly N raw bytes.

Rules:
    A line is at most `MAX_LINE_BYTES` long and ends in a newline.
    The host asks, the agent answers; events may come between; nothing is pipelined.
    Every message carries the wire version, so that an old peer refuses a new one clearly.
"""

from __future__ import annotations

import json
from typing import Any, Dict, NamedTuple, Union

from device_agent.contract.codes import BAD_REQUEST, WIRE_VERSION, RefusalError
from device_agent.contract.records import RecordError, parse_json

#: The version of this wire. Raised when a peer of the version before could misread a message.
VERSION = 1

#: The longest line either side accepts; whatever is larger travels as a file.
MAX_LINE_BYTES = 1 << 20

#: Raw bytes are read and written in pieces of this size.
CHUNK_BYTES = 1 << 16


#: Field of an event that says nothing but that the agent still works.
ALIVE = "alive"


class Request(NamedTuple):
    """What the host asks."""

    id: int
    """Counts up within one connection; the answer carries it back."""
    op: str
    """The operation, a key of the agent's registry."""
    args: Dict[str, Any]
    """Arguments of the operation."""


class Result(NamedTuple):
    """The agent did it."""

    id: int
    result: Dict[str, Any]


class Fault(NamedTuple):
    """The agent said no."""

    id: int
    code: str
    """One of `device_agent.contract.codes`."""
    message: str
    hint: str
    traceback: str
    """Empty unless the agent itself failed."""


class Event(NamedTuple):
    """The agent is still at it."""

    id: int
    event: Dict[str, Any]


Reply = Union[Result, Fault, Event]


class WireError(Exception):
    """A line is no message of this wire: whoever sent it is not a kedge agent, or is broken."""


class NotAMessageError(WireError):
    """A line that is no message at all, such as what a login shell prints when it starts."""


def encode(message: Union[Request, Reply]) -> bytes:
    """Turn a message into one line.

    Raises:
        WireError: The message does not fit into `MAX_LINE_BYTES`; send it as a file.
    """
    fields = dict(message._asdict(), v=VERSION)
    line = json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise WireError("a message of {} bytes is longer than a line may be".format(len(line)))
    return line


def parse_request(line: bytes) -> Request:
    """Read a request.

    Raises:
        RefusalError: The line is no request, or is of another wire version.
    """
    fields = _fields(line)
    if fields is None:
        raise RefusalError(BAD_REQUEST, "a request is one JSON object on a line")
    version = fields.get("v")
    if version != VERSION:
        message = "this agent speaks wire version {}, the host sent {!r}".format(VERSION, version)
        raise RefusalError(WIRE_VERSION, message, "Use the same kedge version that sent the agent.")
    number, op, args = fields.get("id"), fields.get("op"), fields.get("args")
    if not isinstance(number, int) or not isinstance(op, str) or not isinstance(args, dict):
        raise RefusalError(BAD_REQUEST, "a request has an integer id, a string op, an object args")
    return Request(number, op, args)


def parse_reply(line: bytes) -> Reply:
    """Read an answer of the agent.

    Raises:
        NotAMessageError: The line is no message of any version.
        WireError: The line is no answer of this wire version.
    """
    fields = _reply_fields(line)
    number = fields.get("id") if fields is not None else None
    if fields is None or type(number) is not int:
        raise NotAMessageError("not an answer of a kedge agent: {!r}".format(line[:200]))
    if fields.get("v") != VERSION:
        raise WireError("the agent speaks wire version {!r}".format(fields.get("v")))
    if isinstance(fields.get("result"), dict):
        return Result(number, fields["result"])
    if isinstance(fields.get("event"), dict):
        return Event(number, fields["event"])
    if isinstance(fields.get("code"), str):
        texts = [str(fields.get(name, "")) for name in ("code", "message", "hint", "traceback")]
        return Fault(number, *texts)
    raise WireError("neither a result, an event nor a fault: {!r}".format(line[:200]))


def _reply_fields(line: bytes) -> Union[Dict[str, Any], None]:
    """The fields of an answer, which is not trusted, unlike a request."""
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        fields = parse_json(line)
    except RecordError:
        return None
    return fields if isinstance(fields, dict) else None


def _fields(line: bytes) -> Union[Dict[str, Any], None]:
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        fields = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):  # ValueError: also bytes that are no UTF-8
        return None
    return fields if isinstance(fields, dict) else None
