"""The way over SSH, on real servers: what passes."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from targets import ssh as ssh_module
from targets.inventory import parse_address
from targets.ssh import SshTransport, connect_ssh, read_host_key
from targets.transport import HostKeyError
from tests.boards import BoardUnderTest, require_board_parts
from tests.targets.loopback import start_own_sshd, target_at, target_of
from toolkit.demo.sshd import LoopbackSshd

BIG = bytes(range(256)) * 20_000  # 5 MB
OTHER_KEY = "SHA256:" + "B" * 43

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
        transport = ssh_module._make_transport(here, None)
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
        used = transport._client.get_transport()

        assert used.local_cipher == "aes128-gcm@openssh.com"


@pytest.fixture
def dropbear(server: LoopbackSshd, tmp_path: Path) -> Iterator[int]:
    program = shutil.which("dropbear") or shutil.which("dropbear", path="/usr/sbin:/usr/bin")
    key_maker = shutil.which("dropbearkey")
    if program is None or key_maker is None:
        pytest.skip("dropbear is not installed")
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("only root can give dropbear a home of its own")
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    public_half = server.identity.with_suffix(".pub").read_text()
    (home / ".ssh/authorized_keys").write_text(public_half)
    subprocess.run(
        [key_maker, "-t", "ed25519", "-f", tmp_path / "host"], check=True, capture_output=True
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    # It reads the authorized keys of the user's home only.
    hide = f"mount --bind {home} {Path(pwd.getpwuid(0).pw_dir)}; "
    start = f"exec {program} -F -E -s -r {tmp_path}/host -p 127.0.0.1:{port} -P {tmp_path}/pid"
    process = subprocess.Popen(
        ["unshare", "-m", "sh", "-ec", hide + start], stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 10
        while not is_open(port):
            assert time.monotonic() < end
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_dropbear(server: LoopbackSshd, dropbear: int) -> None:
    address = f"{server.user}@127.0.0.1:{dropbear}"
    key_type, fingerprint = read_host_key(parse_address(address))
    target = replace(
        target_at(server), address=address, host_key=fingerprint, host_key_type=key_type
    )
    with connect_ssh(target) as transport:
        assert transport.run("cat", BIG, 30).stdout == BIG
    with pytest.raises(HostKeyError):
        connect_ssh(replace(target, host_key=OTHER_KEY))
