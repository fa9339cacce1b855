"""An SSH connection that remembers what a server said, and that does not trust how much it says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import paramiko
from paramiko.auth_handler import AuthHandler
from paramiko.common import (
    cMSG_GLOBAL_REQUEST,
    cMSG_USERAUTH_INFO_RESPONSE,
    cMSG_USERAUTH_REQUEST,
)
from paramiko.packet import Packetizer

from targets.ssh.link_words import as_link_error

#: Pause after which a silent server is asked for a sign of life.
KEEPALIVE_S = 5.0

#: A server that has sent nothing for so long is lost. TCP itself would wait a quarter of an hour.
#: It repeats lost bytes after 52 s for the eighth time, so a link that is back until then goes on.
SILENCE_S = 58.0

#: Largest packet that is accepted; OpenSSH sends 256 KiB at most.
_MOST_PACKET_BYTES = 1 << 20

#: Most questions of one round, and longest text that is kept of what a server says.
_MOST_QUESTIONS = 20
_MOST_TEXT_BYTES = 8000


#: Part of the name of an algorithm by which a server shows a certificate.
_CERTIFICATE = "-cert-v01@"


class Connection(paramiko.Transport):  # type: ignore[misc]  # paramiko has no types
    """A connection to one server."""

    offer: dict[str, list[str]]
    """Names of algorithms by kind, as paramiko calls the kinds; empty before the server's offer."""

    banner: bytes
    """Words of the server during the login."""

    wants_certificate = False
    """Whether the server is to show its host key by a certificate only."""

    host_certificate = b""
    """Certificate that the server showed; empty for a plain host key."""

    def __init__(self, sock: Any) -> None:
        self.offer = {}
        self.banner = b""
        self._is_silent = False
        self._asked_at = 0.0
        self._link = _Link(sock)
        self._handler: AuthHandler | None = None
        self._failure: BaseException | None = None
        super().__init__(self._link, packetizer_class=_BoundedPacketizer)

    @property
    def auth_handler(self) -> AuthHandler | None:
        """Part of the connection that logs in."""
        return self._handler

    @auth_handler.setter
    def auth_handler(self, handler: AuthHandler | None) -> None:
        self._handler = None if handler is None else _CarefulAuthHandler(self)

    @property
    def saved_exception(self) -> BaseException | None:
        """Failure that paramiko's reader hands to whoever waits; always one of `LINK_ERRORS`."""
        return self._failure

    @saved_exception.setter
    def saved_exception(self, error: BaseException | None) -> None:
        self._failure = None if error is None else as_link_error(error)

    def would_take(self, user: str, key: paramiko.PKey, algorithm: str) -> bool:
        """Ask whether the server would take a signature of a kind, without signing anything."""
        self._handler = handler = _CarefulAuthHandler(self)
        handler.inquiry = algorithm
        event = threading.Event()
        with suppress(paramiko.SSHException, OSError, EOFError):
            handler.auth_publickey(user, key, event)
            handler.wait_for_response(event)
        return handler.is_welcome

    @property
    def is_lost(self) -> bool:
        """Whether a server on the way fell silent, so that the connection was given up."""
        return self._is_silent or self._link.is_lost

    def watch(self) -> None:
        """Ask a silent server for a sign of life from now on, and give up one that is lost."""
        self.packetizer.on_idle = self._ask_for_life
        threading.Thread(target=self._end_when_silent, daemon=True).start()

    def _ask_for_life(self) -> None:
        """Send a request that every server has to answer, if only by a refusal (RFC 4254, 4)."""
        now = time.monotonic()
        if now - max(self._link.received_at, self._asked_at) < KEEPALIVE_S:
            return
        if not self.clear_to_send.is_set():  # new keys are agreed on, which this thread reads
            return
        self._asked_at = now
        message = paramiko.Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)
        self._send_user_message(message)

    def _end_when_silent(self) -> None:
        """Close a connection whose server is lost, which also ends a write that is stuck."""
        self._link.received_at = now = time.monotonic()
        pause_s = min(0.5, SILENCE_S / 10)
        while self.is_alive() and self.active:
            self.join(pause_s)
            last, now = now, time.monotonic()
            if now - last > SILENCE_S / 2:  # this process was stopped, and could hear nobody
                self._link.received_at = now
            if now - self._link.received_at > SILENCE_S:
                self._is_silent = True
                # A jump host on the way may have gone, too: then nobody takes the goodbye.
                with suppress(paramiko.SSHException, OSError, EOFError):
                    self.close()

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """Algorithms of host keys to ask for, in order; certificates stand behind plain keys."""
        names: tuple[str, ...] = super().preferred_keys
        wanted = (name for name in names if _CERTIFICATE in name or not self.wants_certificate)
        return tuple(wanted)

    def _verify_key(self, host_key: bytes, sig: bytes) -> None:
        super()._verify_key(host_key, sig)
        self.host_certificate = bytes(host_key) if _CERTIFICATE in self.host_key_type else b""

    def _really_parse_kex_init(self, m: Any, ignore_first_byte: bool = False) -> dict[str, Any]:
        parsed: dict[str, Any] = super()._really_parse_kex_init(m, ignore_first_byte)
        self.offer = {key: list(value) for key, value in parsed.items() if isinstance(value, list)}
        return parsed


class _Link:
    """What a connection runs over, and when something last came over it."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.received_at = time.monotonic()

    @property
    def is_lost(self) -> bool:
        """Whether the connection to a jump host, which it runs over, was given up."""
        is_channel = isinstance(self._sock, paramiko.Channel)
        return is_channel and bool(self._sock.get_transport().is_lost)

    def recv(self, size: int) -> bytes:
        data: bytes = self._sock.recv(size)
        self.received_at = time.monotonic()
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _BoundedPacketizer(Packetizer):  # type: ignore[misc]  # paramiko has no types
    """Refuses packets that no honest server sends, before their bytes fill the memory."""

    on_idle: Callable[[], None] | None = None
    """Called again and again while nothing arrives."""

    def _check_keepalive(self) -> None:
        if self.on_idle is not None:
            self.on_idle()

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > _MOST_PACKET_BYTES:
            raise paramiko.SSHException(f"it announced a packet of {n} bytes")
        data: bytes = super().read_all(n, check_rekey)
        return data


class _CarefulAuthHandler(AuthHandler):  # type: ignore[misc]  # paramiko has no types
    """Keeps what the server says, and takes questions that are few, in any encoding."""

    inquiry = ""
    """Algorithm that the server is asked about; empty for a login."""
    is_welcome = False
    """Whether the server would take the key with that algorithm."""

    def _parse_service_accept(self, m: Any) -> None:
        if not self.inquiry:
            super()._parse_service_accept(m)
            return
        request = paramiko.Message()
        request.add_byte(cMSG_USERAUTH_REQUEST)
        for text in (self.username, "ssh-connection", "publickey"):
            request.add_string(text)
        request.add_boolean(False)
        request.add_string(self.inquiry)
        request.add_string(self.private_key.asbytes())
        self.transport._send_message(request)

    def _parse_userauth_banner(self, m: Any) -> None:
        connection = self.transport
        connection.banner = (connection.banner + bytes(m.get_binary()) + b"\n")[-_MOST_TEXT_BYTES:]

    def _parse_userauth_info_request(self, m: Any) -> None:
        if self.inquiry:  # the number of SSH_MSG_USERAUTH_PK_OK, too
            self.is_welcome = True
            self.auth_event.set()
            return
        if self.auth_method == "password":  # the number of SSH_MSG_USERAUTH_PASSWD_CHANGEREQ, too
            self.transport.banner += b"The password has expired and must be changed.\n"
        if self.auth_method != "keyboard-interactive":
            raise paramiko.SSHException("it asks something that kedge does not answer")
        title, instructions, _ = (_text(m.get_binary()) for _ in range(3))
        count = m.get_int()
        if count > _MOST_QUESTIONS:
            raise paramiko.SSHException(f"it asks {count} questions at once")
        if count == 0:  # words without a question
            self.transport.banner += f"{title}\n{instructions}\n".encode()
        questions = [(_text(m.get_binary()), m.get_boolean()) for _ in range(count)]
        replies = self.interactive_handler(title, instructions, questions)
        reply = paramiko.Message()
        reply.add_byte(cMSG_USERAUTH_INFO_RESPONSE)
        reply.add_int(len(replies))
        for text in replies:
            reply.add_string(text)
        self.transport._send_message(reply)


def _text(data: bytes) -> str:
    return bytes(data)[-_MOST_TEXT_BYTES:].decode("utf-8", "replace")
