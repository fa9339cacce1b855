"""What paramiko's words for a failed connection mean for a user."""

from __future__ import annotations

import paramiko

#: Errors that paramiko documents for a connection that fails.
LINK_ERRORS: tuple[type[BaseException], ...] = (paramiko.SSHException, OSError, EOFError)

_CLOSED = "the server closed the connection"
_DAMAGED = "what came over it is damaged, or is no SSH"

#: Words of paramiko, to their meaning; the first that an error contains count.
_MEANINGS = {
    "saw EOF": _CLOSED,
    "session not active": _CLOSED,
    "Channel is not open": _CLOSED,
    "Authentication timeout": "the server did not answer in time",
    "Timeout opening channel": "the server opened no session in time",
    "Invalid packet blocking": _DAMAGED,
    "Mismatched MAC": _DAMAGED,
    "Packet sanity check": _DAMAGED,
    "Expecting packet from": _DAMAGED,
}


def reason_of(error: BaseException) -> str:
    """Say in plain words why a connection failed."""
    text = str(error)
    for words, meaning in _MEANINGS.items():
        if words in text:
            return meaning
    if isinstance(error, EOFError) and not text:
        return _CLOSED
    return text or type(error).__name__


def as_link_error(error: BaseException) -> BaseException:
    """Return an error of `LINK_ERRORS` for whatever a reader of damaged or hostile bytes raised."""
    if isinstance(error, LINK_ERRORS):
        return error
    failure: BaseException = paramiko.SSHException(_DAMAGED)
    failure.__cause__ = error
    return failure
