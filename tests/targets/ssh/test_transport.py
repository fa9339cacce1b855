"""The way over SSH, on real servers: what passes."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from targets.inventory import Target
from targets.ssh.dial import make_transport
from targets.ssh.transport import LOGINS_AT_ONCE, SshTransport, connect_ssh
from targets.transport import UnreachableError
from tests.boards import BoardUnderTest, require_board_parts
from tests.targets.loopback import listening, start_own_sshd, target_at, target_of, target_on

BIG = bytes(range(256)) * 20_000  # 5 MB

pytestmark = pytest.mark.usefixtures("nothing_on_stderr", "no_thread_stays")


@pytest.fixture
def transport(ssh_board: BoardUnderTest) -> Iterator[SshTransport]:
    with connect_ssh(target_of(ssh_board)) as transport:
        yield transport


def test_a_command_runs_to_its_end(transport: SshTransport) -> None:
    done = transport.run("cat; echo bad >&2; exit 3", b"hello", 10)

    assert (done.exit_code, done.stdout, done.stderr) == (3, b"hello", b"bad")


def test_much_passes_both_ways_at_once(transport: SshTransport) -> None:
    assert transport.run("cat", BIG, 30).stdout == BIG


def test_much_on_standard_error_does_not_stop_a_command(transport: SshTransport) -> None:
    done = transport.run("head -c 5000000 /dev/zero >&2; echo the end >&2; echo done", b"", 30)

    assert done.stdout == b"done\n"
    assert done.stderr.endswith(b"the end")


def test_a_command_that_reads_nothing_is_fine(transport: SshTransport) -> None:
    assert transport.run("exit 4", BIG, 10).exit_code == 4


def test_a_channel_is_two_way_and_closes_twice(transport: SshTransport) -> None:
    channel = transport.open("echo note >&2; exec cat")
    channel.write(b"a", 5)
    first = channel.read(10, 5)
    channel.write(b"b", 5)
    second = channel.read(10, 5)
    said = channel.last_words()
    channel.close()
    channel.close()

    assert (first, second, said) == (b"a", b"b", "note")


@pytest.mark.parametrize("extra", [(), ("Ciphers aes256-ctr", "MACs hmac-sha2-512")])
def test_a_board_without_sftp_is_enough(tmp_path: Path, extra: tuple[str, ...]) -> None:
    require_board_parts("ssh")
    with (
        start_own_sshd(tmp_path / "sshd", with_sftp=False, extra_config=extra) as server,
        connect_ssh(target_at(server)) as transport,
    ):
        assert transport.run("cat", b"x" * 100_000, 10).stdout == b"x" * 100_000


def test_a_forced_command_with_a_banner(tmp_path: Path) -> None:
    require_board_parts("ssh")
    forced = 'ForceCommand echo Authorized use only; eval "$SSH_ORIGINAL_COMMAND"'
    with (
        start_own_sshd(tmp_path / "sshd", extra_config=(forced,)) as server,
        connect_ssh(target_at(server)) as transport,
    ):
        assert transport.run("echo hi", b"", 10).stdout == b"Authorized use only\nhi\n"


def test_only_modern_algorithms_are_offered_the_best_first() -> None:
    here, there = socket.socketpair()
    with here, there:
        transport = make_transport(here)
        offered = transport.get_security_options()
        every = [*offered.ciphers, *offered.digests, *offered.kex, *offered.key_types]
        transport.close()

    assert offered.ciphers[0] == "aes128-gcm@openssh.com"
    assert offered.digests[0].endswith("-etm@openssh.com")
    weak = ("cbc", "3des", "md5", "sha1", "ssh-dss", "arcfour", "group1-")
    assert [name for name in every if any(word in name for word in weak)] == []
    assert "ssh-rsa" not in every


def test_the_server_sees_a_modern_cipher(ssh_board: BoardUnderTest) -> None:
    with connect_ssh(target_of(ssh_board)) as transport:
        used = transport._sessions[-1].transport

        assert used.local_cipher == "aes128-gcm@openssh.com"


def test_many_boards_behind_one_server_log_in_in_turn() -> None:
    """More than ten at once, and OpenSSH would hang up on some (MaxStartups)."""
    lock, now, most = threading.Lock(), [0], [0]

    def hold(connection: socket.socket) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.2)
        with lock:
            now[0] -= 1
        connection.shutdown(socket.SHUT_RDWR)

    def answer(connection: socket.socket) -> None:
        threading.Thread(target=hold, args=(connection,), daemon=True).start()

    def log_in(target: Target) -> None:
        with pytest.raises(UnreachableError):
            connect_ssh(target)

    with listening(answer) as port, ThreadPoolExecutor(24) as workers:
        list(workers.map(log_in, [target_on(port)] * 24))
    assert 1 < most[0] <= LOGINS_AT_ONCE < 10
