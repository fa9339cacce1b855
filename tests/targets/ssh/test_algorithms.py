"""Servers that share no algorithm with kedge: what each offers is named."""

from pathlib import Path

import pytest

from targets.ssh.route import route_to
from targets.ssh.transport import connect_ssh, read_host_key
from targets.transport import UnreachableError
from tests.boards import require_board_parts
from tests.targets.loopback import start_own_sshd, target_at

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
