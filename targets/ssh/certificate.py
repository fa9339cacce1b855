"""What an OpenSSH certificate of a user says: from when, until when, and for whom it is good."""

from __future__ import annotations

import time

import paramiko

_MARK = "-cert-v01@openssh.com"

#: Fields of the key itself, by type of key. Source: PROTOCOL.certkeys of OpenSSH.
_KEY_FIELDS = {"ssh-ed25519": 1, "ssh-rsa": 2, "ecdsa-sha2-nistp": 2}

_MOST_NAMES = 5


def find_certificate_problem(blob: bytes, user: str, now: float) -> str:
    """Say why a server refuses a certificate; empty where nothing in it explains that.

    Args:
        blob: Certificate, as it is sent to a server.
        user: User to log in as.
        now: Seconds since 1970.
    """
    message = paramiko.Message(blob)
    kind = message.get_binary().decode("utf-8", "replace").removesuffix(_MARK)
    count = next((count for name, count in _KEY_FIELDS.items() if kind.startswith(name)), 0)
    if not count:
        return ""
    for _ in range(1 + count):  # a nonce before the key
        message.get_binary()
    message.get_int64()  # serial number
    message.get_int()  # kind of certificate
    message.get_binary()  # name of the certificate
    names = _texts(message.get_binary())
    begin, end = message.get_int64(), message.get_int64()
    if not message.get_remainder():  # it is cut short: its signature comes last
        return ""
    if now < begin:
        return f"its certificate begins on {_date(begin)}"
    if now >= end:
        return f"its certificate ended on {_date(end)}"
    if names and user not in names:
        more = "" if len(names) <= _MOST_NAMES else " and others"
        return f"its certificate is for {', '.join(names[:_MOST_NAMES])}{more}, not for {user}"
    return ""


def _texts(data: bytes) -> list[str]:
    message, texts = paramiko.Message(data), []
    while len(message.get_remainder()) >= 4:
        texts.append(message.get_binary().decode("utf-8", "replace"))
    return texts


def _date(seconds: int) -> str:
    try:
        return time.strftime("%Y-%m-%d at %H:%M", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"the second {seconds}"
