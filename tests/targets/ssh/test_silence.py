"""A link that dies without a word is noticed; one that comes back in time goes on."""

import contextlib
import select
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from targets.inventory import Target
from targets.ssh import connection
from targets.ssh.transport import SshTransport, connect_ssh
from targets.transport import UnreachableError
from tests.accounts import Account, dropbear
from tests.targets.loopback import listening, start_own_sshd, target_at
from toolkit.demo.sshd import LoopbackSshd

SILENCE_S = 3.0
BIG = bytes(1 << 20) * 40

#: A ProxyCommand: from standard input to a port of this computer, and back.
RELAY = """
import os, socket, sys, threading
server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def send():
    while data := os.read(0, 65536): server.sendall(data)
threading.Thread(target=send, daemon=True).start()
while data := server.recv(65536): os.write(1, data)
"""

pytestmark = pytest.mark.usefixtures("nothing_on_stderr", "no_thread_stays", "home")


class Line:
    """A line to a server that can fall silent: it stays open, and nothing passes."""

    def __init__(self, port: int, server_port: int) -> None:
        self.port = port
        self.server_port = server_port
        self.passes = threading.Event()
        self.passes.set()

    def carry(self, near: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self.server_port)) as far:
            ends = {near: far, far: near}
            with contextlib.suppress(OSError, ValueError):  # one end is closed
                while True:
                    for end in select.select(list(ends), [], [], 1)[0]:
                        data = end.recv(65536)
                        self.passes.wait(30)
                        if not data:
                            return
                        ends[end].sendall(data)


@pytest.fixture
def line(server: LoopbackSshd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setattr(connection, "SILENCE_S", SILENCE_S)
    monkeypatch.setattr(connection, "KEEPALIVE_S", 0.3)
    lines: list[Line] = []

    def answer(near: socket.socket) -> None:
        threading.Thread(target=lines[0].carry, args=(near,), daemon=True).start()

    with listening(answer) as port:
        lines.append(Line(port, server.port))
        yield lines[0]
        lines[0].passes.set()


def target_over(line: Line, server: LoopbackSshd) -> Target:
    return replace(target_at(server), address=f"{server.user}@127.0.0.1:{line.port}")


def read_in_vain(transport: SshTransport, line: Line) -> None:
    channel = transport.open("exec sleep 64")
    line.passes.clear()
    channel.read(1, 600)


def write_in_vain(transport: SshTransport, line: Line) -> None:
    channel = transport.open("exec cat >/dev/null")
    line.passes.clear()
    channel.write(BIG, 600)


def run_in_vain(transport: SshTransport, line: Line) -> None:
    line.passes.clear()
    transport.run("cat >/dev/null", BIG, 600)


@pytest.mark.parametrize("act", [read_in_vain, write_in_vain, run_in_vain])
def test_a_silent_link_is_lost(
    line: Line, server: LoopbackSshd, act: Callable[[SshTransport, Line], None]
) -> None:
    with connect_ssh(target_over(line, server)) as transport:
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="nothing came from it for") as lost:
            act(transport, line)

        assert "board" in str(lost.value)
        assert time.monotonic() - began < 10 * SILENCE_S


@pytest.fixture
def jump_host(tmp_path: Path, home: Path) -> Iterator[LoopbackSshd]:
    with start_own_sshd(tmp_path / "jump", extra_config=("AllowTcpForwarding yes",)) as jump_host:
        shutil.copy(jump_host.identity, home / ".ssh/id_ed25519")
        yield jump_host


def behind(target: Target, jump_host: LoopbackSshd, port: int) -> Target:
    pin = f"{jump_host.host_key_type} {jump_host.host_key_fingerprint}"
    jump = f"{jump_host.user}@127.0.0.1:{port}"
    return replace(target, jump=jump, jump_host_keys={f"[127.0.0.1]:{port}": pin})


def test_a_silent_link_behind_a_jump_host_is_lost(
    line: Line, server: LoopbackSshd, jump_host: LoopbackSshd
) -> None:
    target = behind(target_over(line, server), jump_host, jump_host.port)
    with connect_ssh(target) as transport, pytest.raises(UnreachableError, match="nothing came"):
        write_in_vain(transport, line)


def test_a_silent_link_to_the_jump_host_is_lost(
    line: Line, server: LoopbackSshd, jump_host: LoopbackSshd
) -> None:
    line.server_port = jump_host.port
    target = behind(target_at(server), jump_host, line.port)
    with connect_ssh(target) as transport, pytest.raises(UnreachableError, match="nothing came"):
        read_in_vain(transport, line)


def test_a_silent_proxy_command_is_lost(line: Line, server: LoopbackSshd, home: Path) -> None:
    relay = home / "relay.py"
    relay.write_text(RELAY)
    (home / ".ssh/config").write_text(
        f"Host pi\n  HostName 127.0.0.1\n  ProxyCommand {sys.executable} '{relay}' {line.port}\n"
    )
    target = replace(target_at(server), address=f"{server.user}@pi")
    with connect_ssh(target) as transport, pytest.raises(UnreachableError, match="nothing came"):
        write_in_vain(transport, line)


def test_a_link_that_comes_back_goes_on(line: Line, server: LoopbackSshd) -> None:
    with connect_ssh(target_over(line, server)) as transport:
        line.passes.clear()
        threading.Timer(SILENCE_S / 2, line.passes.set).start()
        assert transport.run("sleep 3; cat", b"all of it", 60).stdout == b"all of it"


def test_a_quiet_command_is_no_silent_link(line: Line, server: LoopbackSshd) -> None:
    with connect_ssh(target_over(line, server)) as transport:
        assert transport.run(f"sleep {2 * SILENCE_S}; echo on", b"", 60).stdout == b"on\n"


def test_dropbear_gives_a_sign_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SILENCE_S", SILENCE_S)
    monkeypatch.setattr(connection, "KEEPALIVE_S", 0.3)
    with (
        dropbear(tmp_path / "dropbear", Account(tmp_path / "board")) as target,
        connect_ssh(target) as transport,
    ):
        assert transport.run(f"sleep {2 * SILENCE_S}; echo on", b"", 60).stdout == b"on\n"
