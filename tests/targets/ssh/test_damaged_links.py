"""Servers that send damaged bytes, or hang up, at any moment of a login: one sentence each."""

import contextlib
import random
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import paramiko
import pytest

from targets.inventory import Target
from targets.ssh import login as login_module
from targets.ssh.transport import connect_ssh
from targets.transport import UnreachableError
from tests.targets.loopback import listening, target_at
from toolkit.demo.sshd import LoopbackSshd

GARBAGE = random.Random(7).randbytes(1 << 16)

#: Positions in what a server sends: in its version, its offer, its key, the login, a session.
POSITIONS = (4, 60, 700, 1150, 1400, 1600, 1900, 2200, 2700, 3500, 20_000)

pytestmark = pytest.mark.usefixtures("nothing_on_stderr", "no_thread_stays", "home")


@contextlib.contextmanager
def relay(server: LoopbackSshd, position: int, last_bytes: bytes) -> Iterator[Target]:
    """A way to the server that ends with other bytes behind a position of what the server sends."""

    def send(near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(65536):
                far.sendall(data)

    def carry(near: socket.socket) -> None:
        count = 0
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", server.port)) as far,
        ):
            threading.Thread(target=send, args=(near, far), daemon=True).start()
            while data := far.recv(position - count):
                count += len(data)
                near.sendall(data)
            near.sendall(last_bytes)
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)

    def answer(near: socket.socket) -> None:
        threading.Thread(target=carry, args=(near,), daemon=True).start()

    with listening(answer) as port:
        yield replace(target_at(server), address=f"{server.user}@127.0.0.1:{port}")


@pytest.mark.parametrize("last_bytes", [GARBAGE, b""], ids=["damaged", "cut"])
@pytest.mark.parametrize("position", POSITIONS)
def test_a_link_that_ends_badly_is_one_sentence(
    server: LoopbackSshd, position: int, last_bytes: bytes
) -> None:
    def run() -> None:
        with connect_ssh(target) as transport:
            transport.run("head -c 100000 /dev/zero", b"", 30)

    with relay(server, position, last_bytes) as target:
        lost = lost_at(run)

    assert lost.hint
    assert "listen on this port" not in lost.hint or position < 1600
    for word in ("Error", "EOF", "MAC", "Authentication"):
        assert word not in str(lost)


class _Server(paramiko.ServerInterface):  # type: ignore[misc] # paramiko has no types
    """Lets everybody in who waits until then, and runs no command."""

    def __init__(self, is_free: threading.Event) -> None:
        self._is_free = is_free

    def check_auth_none(self, username: str) -> int:
        self._is_free.wait(60)
        return int(paramiko.AUTH_SUCCESSFUL)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)


@contextlib.contextmanager
def simple_server(server: LoopbackSshd, is_free: threading.Event) -> Iterator[Target]:
    sessions: list[paramiko.Transport] = []

    def answer(connection: socket.socket) -> None:
        session = paramiko.Transport(connection)
        session.add_server_key(paramiko.Ed25519Key(filename=str(server.folder / "host_key")))
        session.start_server(server=_Server(is_free), event=threading.Event())
        sessions.append(session)

    with listening(answer) as port:
        yield replace(target_at(server), address=f"pi@127.0.0.1:{port}")
        is_free.set()
        for session in sessions:
            session.close()


def lost_at(act: Callable[[], object]) -> UnreachableError:
    with pytest.raises(UnreachableError) as lost:
        act()
    return lost.value


def test_a_server_that_falls_silent_at_the_login_is_an_ssh_server(
    server: LoopbackSshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_module, "LOGIN_TIMEOUT_S", 0.5)
    with simple_server(server, threading.Event()) as target:
        lost = lost_at(lambda: connect_ssh(target))

    assert str(lost).endswith("broke off: the server did not answer in time")
    assert "listen" not in lost.hint


def test_a_server_that_runs_no_command_has_no_broken_link(server: LoopbackSshd) -> None:
    is_free = threading.Event()
    is_free.set()
    with simple_server(server, is_free) as target, connect_ssh(target) as transport:
        lost = lost_at(lambda: transport.run("exit 0", b"", 5))

    assert "refuses to run a command" in str(lost)
    assert "forwarding" in lost.hint
