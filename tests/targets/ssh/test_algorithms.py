"""Servers that share no algorithm with kedge: what each offers is named."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from targets.ssh.route import route_to
from targets.ssh.transport import connect_ssh, read_host_key
from targets.transport import LoginRefusedError, UnreachableError
from tests.boards import require_board_parts
from tests.targets.loopback import start_own_sshd, target_at
from toolkit.demo.sshd_files import find_program

pytestmark = pytest.mark.usefixtures("nothing_on_stderr", "no_thread_stays", "home")


@pytest.mark.parametrize(
    ("setting", "what", "server_name", "own_name"),
    [
        (
            "KexAlgorithms sntrup761x25519-sha512@openssh.com",
            "key exchange",
            "sntrup761x25519-sha512@openssh.com",
            "ecdh-sha2-nistp256",
        ),
        (
            "Ciphers chacha20-poly1305@openssh.com",
            "cipher",
            "chacha20-poly1305@openssh.com",
            "aes128-gcm@openssh.com",
        ),
        ("Ciphers aes128-cbc,3des-cbc", "cipher", "aes128-cbc, 3des-cbc", "aes256-ctr"),
        (
            "Ciphers aes128-ctr\nMACs umac-128-etm@openssh.com",
            "MAC",
            "umac-128-etm@openssh.com",
            "hmac-sha2-256",
        ),
    ],
)
def test_both_sides_are_named(
    tmp_path: Path, setting: str, what: str, server_name: str, own_name: str
) -> None:
    require_board_parts("ssh")
    with start_own_sshd(tmp_path / "sshd", extra_config=setting.split("\n")) as server:
        target = target_at(server)
        with pytest.raises(UnreachableError) as refused:
            connect_ssh(target)
        with pytest.raises(UnreachableError) as refused_key:
            read_host_key(route_to(target))

    for error in (refused.value, refused_key.value):
        assert f"have no {what} in common: it offers {server_name};" in str(error)
        assert own_name in str(error)
        assert "sshd_config" in error.hint
        assert "ext-info" not in str(error)
        assert "kex-strict" not in str(error)


def test_a_server_with_sha1_host_keys_only_is_named(tmp_path: Path) -> None:
    require_board_parts("ssh")
    make = [find_program("ssh-keygen"), "-q", "-t", "rsa", "-N", "", "-f", str(tmp_path / "rsa")]
    subprocess.run(make, check=True)
    extra = (f"HostKey {tmp_path / 'rsa'}", "HostKeyAlgorithms ssh-rsa")
    with start_own_sshd(tmp_path / "sshd", extra_config=extra) as server:
        target = target_at(server)
        for known in (
            replace(target, host_key_type=None),
            replace(target, host_key_type="ssh-rsa"),
        ):
            with pytest.raises(UnreachableError, match="SHA-1 signatures only") as refused:
                connect_ssh(known)
            assert "ssh-keygen -A" in refused.value.hint


def test_a_server_that_takes_rsa_with_sha1_only(tmp_path: Path, home: Path) -> None:
    require_board_parts("ssh")
    key = home / ".ssh/id_rsa"
    make = [find_program("ssh-keygen"), "-q", "-t", "rsa", "-N", "", "-f", str(key)]
    subprocess.run(make, check=True)
    extra = ("PubkeyAcceptedAlgorithms ssh-rsa,ssh-ed25519",)
    with start_own_sshd(tmp_path / "sshd", extra_config=extra) as server:
        keys = server.folder / "authorized_keys"
        keys.write_text(keys.read_text() + key.with_suffix(".pub").read_text())
        with pytest.raises(LoginRefusedError, match="SHA-1 signatures only") as refused:
            connect_ssh(replace(target_at(server), identity=key))
        assert "Ed25519" in refused.value.hint

        text = f'Host *\n  IdentityFile "{key}"\n  IdentityFile "{server.identity}"\n'
        (home / ".ssh/config").write_text(text)
        with connect_ssh(replace(target_at(server), identity=None)) as transport:
            assert transport.run("echo in", b"", 10).stdout == b"in\n"


def test_the_words_of_a_server_are_quoted(tmp_path: Path, home: Path) -> None:
    require_board_parts("ssh")
    (tmp_path / "banner").write_text("Keep out!\n\nSystem is booting up.\n")
    extra = (f"Banner {tmp_path / 'banner'}",)
    with start_own_sshd(tmp_path / "sshd", extra_config=extra) as server:
        target = replace(target_at(server), identity=None)
        with pytest.raises(LoginRefusedError, match="Keep out! System is booting up") as refused:
            connect_ssh(target)
    assert "/etc/nologin" in refused.value.hint
