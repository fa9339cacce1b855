"""The way over SSH, on real servers: every way in which it does not open, or ends."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from targets.errors import TargetError
from targets.inventory import Target
from targets.ssh import dial
from targets.ssh import transport as ssh_module
from targets.ssh.host_keys import HostKey
from targets.ssh.route import route_to
from targets.ssh.transport import SshTransport, connect_ssh, read_host_key
from targets.transport import DeadlineError, HostKeyError, LoginRefusedError, UnreachableError
from tests.boards import BoardUnderTest, require_board_parts, start_board
from tests.targets.loopback import (
    cut_sessions,
    listening,
    start_own_sshd,
    target_at,
    target_of,
    target_on,
)
from toolkit.demo.sshd import LoopbackSshd
from toolkit.demo.sshd_files import find_program

BIG = bytes(range(256)) * 20_000  # 5 MB

pytestmark = pytest.mark.usefixtures("nothing_on_stderr", "no_thread_stays")


@pytest.fixture
def transport(ssh_board: BoardUnderTest) -> Iterator[SshTransport]:
    with connect_ssh(target_of(ssh_board)) as transport:
        yield transport


def refusal(kind: type[TargetError], act: Callable[[], object]) -> TargetError:
    with pytest.raises(kind) as refused:
        act()
    assert refused.value.exit_code == 6
    assert refused.value.hint
    return refused.value


def run_true(target: Target) -> None:
    with connect_ssh(target) as transport:
        transport.open("true")


def make_key(folder: Path, kind: str, passphrase: str = "") -> Path:
    command = [find_program("ssh-keygen"), "-q", "-t", kind, "-N", passphrase, "-f"]
    subprocess.run([*command, folder / f"key_{kind}"], check=True)
    return folder / f"key_{kind}"


# The host key.


def test_the_key_is_shown_before_a_login(server: LoopbackSshd) -> None:
    shown = read_host_key(route_to(target_at(server)))

    assert shown == HostKey("ssh-ed25519", server.host_key_fingerprint)
    assert "Accepted" not in server.log.read_text()


def test_a_changed_key_is_refused(server: LoopbackSshd) -> None:
    target = target_at(server)
    with server.restart(new_host_key=True) as successor:
        refused = refusal(HostKeyError, lambda: connect_ssh(target))

        assert server.host_key_fingerprint in str(refused)
        assert successor.host_key_fingerprint in str(refused)
        assert "kedge target rekey board" in refused.hint
        assert "Accepted" not in successor.log.read_text()


def test_a_key_of_another_type_only_is_refused(server: LoopbackSshd) -> None:
    target = replace(target_at(server), host_key_type="ssh-rsa")

    refused = refusal(HostKeyError, lambda: connect_ssh(target))
    assert "no longer shows a host key of type ssh-rsa" in str(refused)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_of_several_keys_the_accepted_one_is_asked_for(tmp_path: Path, kind: str) -> None:
    require_board_parts("ssh")
    second = make_key(tmp_path, kind)
    with start_own_sshd(tmp_path / "sshd", extra_config=(f"HostKey {second}",)) as server:
        wanted = {"rsa": "ssh-rsa", "ecdsa": "ecdsa-sha2-nistp256"}[kind]
        shown = read_host_key(route_to(target_at(server)), wanted)
        target = replace(target_at(server), host_key=shown.fingerprint, host_key_type=shown.kind)

        assert shown.kind == wanted
        assert shown.fingerprint != server.host_key_fingerprint
        with connect_ssh(target) as transport:
            assert transport.run("exit 0", b"", 10).exit_code == 0


# The login.


def test_a_key_that_the_board_does_not_know(server: LoopbackSshd, tmp_path: Path) -> None:
    target = replace(target_at(server), identity=make_key(tmp_path, "ed25519"))

    refused = refusal(LoginRefusedError, lambda: connect_ssh(target))
    assert f"board refused the login of {server.user}" in str(refused)
    assert "ssh-copy-id" in refused.hint


def test_a_user_that_the_board_does_not_know(server: LoopbackSshd) -> None:
    address = server.address.replace(f"{server.user}@", "nobody-here@")
    target = replace(target_at(server), address=address)

    assert "login of nobody-here" in str(refusal(LoginRefusedError, lambda: connect_ssh(target)))


def test_no_key_at_all_is_a_refused_login(
    server: LoopbackSshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    target = replace(target_at(server), identity=None)

    refused = refusal(LoginRefusedError, lambda: connect_ssh(target))
    assert "refused the login" in str(refused)


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_key_with_a_passphrase(server: LoopbackSshd, tmp_path: Path, kind: str) -> None:
    target = replace(target_at(server), identity=make_key(tmp_path, kind, "secret"))

    refused = refusal(LoginRefusedError, lambda: connect_ssh(target))
    assert f"key_{kind} has a passphrase" in str(refused)
    assert "ssh-add" in refused.hint


@pytest.mark.parametrize("content", [b"", b"no key", b"\xff\xfe\x00", None])
def test_an_identity_that_is_no_key(
    server: LoopbackSshd, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "id"
    public_half = server.identity.with_suffix(".pub").read_bytes()
    path.write_bytes(public_half if content is None else content)
    target = replace(target_at(server), identity=path)

    refused = refusal(LoginRefusedError, lambda: connect_ssh(target))
    assert f"the identity {path} is not a private key" in str(refused)


@pytest.mark.parametrize("name", ["none", "."])
def test_an_identity_that_cannot_be_read(server: LoopbackSshd, tmp_path: Path, name: str) -> None:
    target = replace(target_at(server), identity=tmp_path / name)

    assert "cannot read the identity" in str(
        refusal(LoginRefusedError, lambda: connect_ssh(target))
    )


# What listens there, and what does not.


@pytest.fixture
def _short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "LOGIN_TIMEOUT_S", 0.5)


def both(port: int) -> Iterator[TargetError]:
    target = target_on(port)
    yield refusal(UnreachableError, lambda: connect_ssh(target))
    yield refusal(UnreachableError, lambda: read_host_key(route_to(target)))


def test_a_closed_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for refused in both(port):
        assert f"cannot connect to 127.0.0.1 port {port}: Connection refused" in str(refused)


@pytest.mark.parametrize("host", ["no-such-board.invalid", "a" * 70, "a..b"])
def test_a_name_that_is_none(host: str) -> None:
    target = replace(target_on(22), address=f"pi@{host}")

    assert f"cannot connect to {host}" in str(
        refusal(UnreachableError, lambda: connect_ssh(target))
    )


def test_a_link_local_address_needs_its_interface() -> None:
    target = replace(target_on(22), address="pi@[fe80::1]:22")
    refused = refusal(UnreachableError, lambda: connect_ssh(target))

    assert "[fe80::1%eth0]" in refused.hint


@pytest.mark.usefixtures("_short_deadlines")
def test_a_port_that_says_nothing() -> None:
    began = time.monotonic()
    with listening(lambda connection: None) as port:
        for refused in both(port):
            assert str(refused) == (
                f"no SSH session with 127.0.0.1 port {port}: no SSH handshake within 0.5 s"
            )
    assert time.monotonic() - began < 20


@pytest.mark.usefixtures("_short_deadlines")
def test_a_server_that_greets_and_then_says_nothing() -> None:
    began = time.monotonic()
    with listening(lambda connection: connection.sendall(b"SSH-2.0-stuck\r\n")) as port:
        for refused in both(port):
            assert str(refused) == (
                f"no SSH session with 127.0.0.1 port {port}: no SSH handshake within 0.5 s"
            )
    assert time.monotonic() - began < 20


HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("said", [HTTP, b"", b"\xff" * 5000, b"SSH-1.5-old\r\n"])
def test_a_port_that_speaks_something_else(said: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(said)
        connection.close()

    began = time.monotonic()
    with listening(answer) as port:
        for refused in both(port):
            assert "no SSH session" in str(refused)
            assert "SSH server listen" in refused.hint
            if said in (HTTP, b""):
                assert str(refused).endswith("was closed during the SSH handshake")
    assert time.monotonic() - began < 20


# The end in the middle.


def test_a_silent_command_hits_the_deadline(transport: SshTransport) -> None:
    began = time.monotonic()
    late = refusal(DeadlineError, lambda: transport.run("sleep 64", b"", 0.7))

    assert "did not finish a command within 1 s" in str(late)
    assert time.monotonic() - began < 30
    assert transport.run("exit 0", b"", 10).exit_code == 0  # the connection is as before


def test_a_silent_channel_hits_the_deadline(transport: SshTransport) -> None:
    channel = transport.open("exec sleep 20")
    for late in (
        refusal(DeadlineError, lambda: channel.read(1, 0.3)),
        refusal(DeadlineError, lambda: channel.write(BIG, 0.3)),
    ):
        assert "was silent" in str(late)
    channel.close()


def test_a_command_that_is_killed_is_no_lost_link(transport: SshTransport) -> None:
    assert transport.run("kill -9 $$", b"", 10).exit_code == -1


def test_a_link_that_is_cut_in_a_command(server: LoopbackSshd, tmp_path: Path) -> None:
    with connect_ssh(target_at(server)) as transport:
        channel = transport.open("exec cat")

        def cut() -> None:
            while not (tmp_path / "runs").exists():
                time.sleep(0.02)
            cut_sessions(server.keeper_pid)

        cutter = threading.Thread(target=cut, daemon=True)
        cutter.start()
        command = f"touch {tmp_path}/runs; sleep 65"
        lost = refusal(UnreachableError, lambda: transport.run(command, b"", 60))
        cutter.join()

        assert "the connection to board broke" in str(lost)
        assert "the log of its SSH server" in lost.hint
        channel.close()  # nothing to say about a link that is known to be cut
        refusal(UnreachableError, lambda: transport.open("exit 0"))


def test_a_server_that_ends_in_a_command(server: LoopbackSshd) -> None:
    with connect_ssh(target_at(server)) as transport:
        channel = transport.open("echo on; exec sleep 66")
        assert channel.read(3, 5) == b"on\n"
        server.stop()

        assert channel.read(1, 5) == b""
        refusal(UnreachableError, lambda: channel.write(b"x", 5))
        channel.close()


def test_a_closed_transport_opens_nothing(ssh_board: BoardUnderTest) -> None:
    transport = connect_ssh(target_of(ssh_board))
    transport.close()
    transport.close()

    closed = refusal(UnreachableError, lambda: transport.run("exit 0", b"", 5))
    assert "broke" in str(closed)


class _Stuck(paramiko.ServerInterface):  # type: ignore[misc] # paramiko has no types
    """Lets everybody in and does not answer what they ask it to run."""

    def __init__(self, told: threading.Event) -> None:
        self._told = told

    def check_auth_none(self, username: str) -> int:
        return int(paramiko.AUTH_SUCCESSFUL)

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return int(paramiko.AUTH_SUCCESSFUL)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self._told.wait(60)
        return False


def test_a_server_that_only_forwards_is_named() -> None:
    with start_board("ssh", extra_config=["MaxSessions 0"]) as board:
        refused = refusal(UnreachableError, lambda: run_true(target_of(board)))

    assert "opens no session for a command" in str(refused)
    assert "MaxSessions" in refused.hint


def test_a_server_that_never_starts_the_command(
    server: LoopbackSshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    transports: list[paramiko.Transport] = []
    told = threading.Event()

    def answer(connection: socket.socket) -> None:
        stuck = paramiko.Transport(connection)
        stuck.add_server_key(paramiko.Ed25519Key(filename=str(server.folder / "host_key")))
        stuck.start_server(server=_Stuck(told), event=threading.Event())
        transports.append(stuck)

    with listening(answer) as port:
        target = replace(target_at(server), address=f"pi@127.0.0.1:{port}")
        with connect_ssh(target) as transport:
            monkeypatch.setattr(ssh_module, "LOGIN_TIMEOUT_S", 0.5)
            began = time.monotonic()
            late = refusal(DeadlineError, lambda: transport.run("exit 0", b"", 5))
            took = time.monotonic() - began
        told.set()
        for stuck in transports:
            stuck.close()

    assert "did not start a command" in str(late)
    assert took < 30
