"""~/.ssh/known_hosts: what ssh passes over is passed over, and what it revokes is refused."""

import base64
import hashlib
import hmac
from dataclasses import replace
from pathlib import Path

import pytest

from targets.inventory import Target
from targets.ssh.host_keys import HostKey, check_host_key, known_keys
from targets.ssh.route import SshServer, route_to
from targets.ssh.transport import connect_ssh
from targets.transport import HostKeyError
from tests.kedge import assert_refused, kedge
from tests.targets.loopback import start_own_sshd, target_at
from toolkit.demo.sshd import LoopbackSshd

NAME = "[bastion]:23"
PIN = "SHA256:" + "A" * 43


def blob_of(kind: str, *parts: bytes) -> bytes:
    fields = (kind.encode(), *parts)
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def line_of(blob: bytes, names: str = NAME) -> str:
    kind = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode()
    return f"{names} {kind} {base64.b64encode(blob).decode()}"


def key_of(blob: bytes) -> HostKey:
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return HostKey(blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode(), f"SHA256:{digest}")


def hashed(name: str) -> str:
    salt = bytes(range(20))
    digest = hmac.digest(salt, name.encode(), "sha1")
    return "|1|" + "|".join(base64.b64encode(part).decode() for part in (salt, digest))


GOOD = blob_of("ssh-ed25519", b"\7" * 32)
OTHER = blob_of("ssh-ed25519", b"\1" * 32)
LINE = line_of(GOOD).encode() + b"\n"


@pytest.fixture
def bastion(home: Path) -> SshServer:
    return route_to(Target("pi", "pi@board", PIN, jump="me@bastion:23"))[0]


@pytest.mark.parametrize(
    "line",
    [
        b"@cert-authority *.example.org " + line_of(OTHER).encode().split(b" ", 1)[1],
        b"@cert-authority * ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Zxx",
        b"@cert-authority " + line_of(OTHER).encode(),
        b"@of-the-future " + line_of(OTHER).encode(),
        b"@revoked",
        b"@revoked other " + line_of(GOOD).encode().split(b" ", 1)[1],
        b"[bastion]:23 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAA=",
        b"[bastion]:23 ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7",
        b"[bastion]:23 ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7A",
        b"[bastion]:23 ssh-ed25519 \xe9\xe8!",
        b"[bastion]:23 ssh-ed25519 " + "é".encode(),
        b"[bastion]:23 sk-ssh-ed25519@openssh.com AAAA",
        b"[bastion]:23 ssh-rsa " + line_of(OTHER).encode().split()[2],
        line_of(blob_of("ssh-ed25519", b"\7" * 31)).encode(),
        b"\xff\xfe caf\xe9",
        b"\xff\xfe caf\xe9 ssh-ed25519 AAAA",
        b"|1|damaged|=== ssh-ed25519 AAAA",
        b"|2|x|y ssh-ed25519 AAAA",
        b"|1|\xe9|\xe9 ssh-ed25519 AAAA",
        b"[bastion]:23",
        b"",
        b"# " + line_of(OTHER).encode(),
        b"\0\0\0\0",
    ],
)
def test_a_line_that_says_nothing_is_passed_over(
    home: Path, bastion: SshServer, line: bytes
) -> None:
    file = home / ".ssh/known_hosts"
    file.write_bytes(line + b"\n")
    assert known_keys(bastion) == ()
    with pytest.raises(HostKeyError, match="is not known"):
        check_host_key(bastion, key_of(GOOD))
    file.write_bytes(line + b"\n" + LINE + line)
    assert known_keys(bastion) == (key_of(GOOD),)
    check_host_key(bastion, key_of(GOOD))


@pytest.mark.parametrize(
    "line",
    [
        LINE,
        LINE.replace(b"\n", b"\r\n"),
        LINE.replace(b" ", b"\t"),
        b"  " + LINE,
        LINE[:-1] + b" me@caf\xe9\n",
        line_of(GOOD, "other,[bastion]:23").encode(),
        line_of(GOOD, "[BASTION]:23").encode(),
        line_of(GOOD, "[bast*]:23").encode(),
        line_of(GOOD, "[b?stion]:*").encode(),
        line_of(GOOD, "*").encode(),
        line_of(GOOD, "*,!other").encode(),
        line_of(GOOD, hashed(NAME)).encode(),
    ],
)
def test_a_line_about_the_server(home: Path, bastion: SshServer, line: bytes) -> None:
    (home / ".ssh/known_hosts").write_bytes(line)
    assert known_keys(bastion) == (key_of(GOOD),)


@pytest.mark.parametrize(
    "names", ["bastion", "[bastion]:22", "[bastio]:23", "*,!*:23", "b:23", hashed("bastion")]
)
def test_a_line_about_another_server(home: Path, bastion: SshServer, names: str) -> None:
    (home / ".ssh/known_hosts").write_text(line_of(GOOD, names))
    assert known_keys(bastion) == ()


@pytest.mark.parametrize(
    "kind", ["ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"]
)
def test_other_types_of_keys(home: Path, bastion: SshServer, kind: str) -> None:
    blob = blob_of(kind, b"\1\0\1", b"\7" * 65)
    (home / ".ssh/known_hosts").write_text(line_of(blob))
    assert known_keys(bastion) == (key_of(blob),)


@pytest.mark.parametrize("names", [NAME, "*", hashed(NAME)])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_revoked_key_is_refused(
    home: Path, bastion: SshServer, names: str, is_first: bool
) -> None:
    lines = [f"@revoked {line_of(GOOD, names)}", line_of(GOOD), line_of(OTHER)]
    (home / ".ssh/known_hosts").write_text("\n".join(lines if is_first else lines[::-1]))
    pinned = replace(bastion, host_key=key_of(GOOD).fingerprint, host_key_type="ssh-ed25519")

    assert known_keys(bastion) == (key_of(OTHER),)
    check_host_key(bastion, key_of(OTHER))
    for server in (bastion, pinned):
        with pytest.raises(HostKeyError, match="is revoked .*known_hosts, line") as refused:
            check_host_key(server, key_of(GOOD))
        assert "new host key" in refused.value.hint


@pytest.mark.usefixtures("nothing_on_stderr", "no_thread_stays")
def test_a_jump_host_behind_damaged_lines(server: LoopbackSshd, home: Path, tmp_path: Path) -> None:
    file = home / ".ssh/known_hosts"
    with start_own_sshd(tmp_path / "jump", extra_config=("AllowTcpForwarding yes",)) as jump:
        (home / ".ssh/id_ed25519").write_bytes(jump.identity.read_bytes())
        (home / ".ssh/id_ed25519").chmod(0o600)
        target = replace(target_at(server), jump=jump.address)
        damage = b"@cert-authority *.example.org " + LINE.split(b" ", 1)[1] + b"\xff\xfe\nx y z\n"
        file.write_bytes(damage + jump.known_hosts.encode())
        with connect_ssh(target) as transport:
            assert transport.run("exit 0", b"", 10).exit_code == 0
        file.write_bytes(damage + b"@revoked " + jump.known_hosts.encode())
        with pytest.raises(HostKeyError, match="is revoked"):
            connect_ssh(target)


@pytest.mark.parametrize(
    ("setting", "is_known"),
    [
        ("UserKnownHostsFile '{other}'", True),
        ("UserKnownHostsFile /nothing '{other}'", True),
        ("GlobalKnownHostsFile '{other}'", True),
        ("UserKnownHostsFile none\n  GlobalKnownHostsFile /nothing", False),
        ("UserKnownHostsFile '{other}'\n  HostKeyAlias lab", False),
    ],
)
def test_other_files_can_be_named(home: Path, tmp_path: Path, setting: str, is_known: bool) -> None:
    other = tmp_path / "other hosts"
    other.write_bytes(LINE)
    (home / ".ssh/known_hosts").write_text("")
    (home / ".ssh/config").write_text(f"Host bastion\n  {setting.format(other=other)}\n")
    server = route_to(Target("pi", "pi@board", PIN, jump="me@bastion:23"))[0]

    assert (key_of(GOOD) in known_keys(server)) == is_known


def test_an_alias_names_the_line(home: Path) -> None:
    (home / ".ssh/config").write_text("Host bastion\n  HostKeyAlias lab\n")
    (home / ".ssh/known_hosts").write_text(line_of(GOOD, "lab") + "\n")
    server = route_to(Target("pi", "pi@board", PIN, jump="me@bastion:23"))[0]

    check_host_key(server, key_of(GOOD))


def test_a_revoked_key_is_not_even_asked_about(
    home: Path, server: LoopbackSshd, tmp_path: Path
) -> None:
    public = server.host_key.split()[:2]
    name = f"[{server.host}]:{server.port}"
    (home / ".ssh/known_hosts").write_text(f"@revoked {name} {' '.join(public)}\n")
    env = {"HOME": str(home)}
    ran = kedge("target", "add", "b", server.address, cwd=tmp_path, env=env)

    assert_refused(ran, 6, "is revoked", "Give the server a new host key")
