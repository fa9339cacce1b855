"""A board whose host key an authority has certified is reached without a pin of its own."""

import base64
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from targets.inventory import Inventory, Target
from targets.provision import connect
from targets.ssh.host_certificate import check_certificate
from targets.transport import HostKeyError
from tests.targets.loopback import target_at
from toolkit.demo.sshd import LoopbackSshd, start_sshd
from toolkit.demo.sshd_files import make_key
from toolkit.enrollment import enroll_list

Certify = Callable[..., bytes]


class Authority:
    """A key that certifies the keys of hosts."""

    def __init__(self, folder: Path, kind: str = "ed25519") -> None:
        self.key = folder / f"ca-{kind}"
        command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(self.key)]
        subprocess.run(command, check=True)
        shown = subprocess.check_output(["ssh-keygen", "-l", "-f", str(self.key)], text=True)
        self.fingerprint = shown.split()[1]
        self.public_key = " ".join(self.key.with_suffix(".pub").read_text().split()[:2])

    def certify(self, public_key: Path, *options: str, host: str = "127.0.0.1") -> bytes:
        """Write the certificate beside the key, and return it."""
        names = ["-n", host] if host else []
        command = ["ssh-keygen", "-q", "-s", str(self.key), "-I", "board", "-h", *names, *options]
        subprocess.run([*command, str(public_key)], check=True, capture_output=True)
        certificate = public_key.with_name(public_key.stem + "-cert.pub")
        return base64.b64decode(certificate.read_text().split()[1])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LoopbackSshd]:
    """A server that shows a certificate, and its plain key to who asks for that."""
    folder = tmp_path_factory.mktemp("sshd")
    make_key(folder / "host_key")
    authority.certify(folder / "host_key.pub")
    config = [f"HostCertificate {folder}/host_key-cert.pub", "AllowTcpForwarding yes"]
    with start_sshd(folder, extra_config=config) as running:
        yield running


def certified(server: LoopbackSshd, authority: Authority) -> Target:
    target = target_at(server)
    return replace(target, host_key=None, host_key_type=None, host_ca=authority.fingerprint)


def test_a_certified_board_is_reached(server: LoopbackSshd, authority: Authority) -> None:
    for target in (certified(server, authority), target_at(server)):
        with connect(target) as transport:
            assert transport.run("echo here", b"", 30).stdout == b"here\n"


def test_another_authority_is_refused(
    server: LoopbackSshd, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path)
    with pytest.raises(HostKeyError, match="of the authority") as refusal:
        connect(certified(server, other))
    assert authority.fingerprint in str(refusal.value)
    both = replace(certified(server, other), host_ca=f"{other.fingerprint},{authority.fingerprint}")
    connect(both).close()


def test_a_revoked_authority_is_named(
    server: LoopbackSshd, authority: Authority, home: Path
) -> None:
    (home / ".ssh/known_hosts").write_text(f"@revoked * {authority.public_key}\n")
    with pytest.raises(HostKeyError, match="authority that certified .* is revoked") as refusal:
        connect(certified(server, authority))
    assert "new certificate" in refusal.value.hint


def test_a_board_without_a_certificate_is_refused(authority: Authority, tmp_path: Path) -> None:
    with start_sshd(tmp_path / "sshd") as plain:
        with pytest.raises(HostKeyError, match="shows no host certificate") as refusal:
            connect(certified(plain, authority))
        assert "kedge target rekey board" in refusal.value.hint


def test_known_hosts_names_the_authority_of_imported_boards(
    server: LoopbackSshd, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDGE_SSH_CONFIG", "none")
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"@cert-authority [127.0.0.*]:* {authority.public_key}\n")
    boards = tmp_path / "boards.csv"
    boards.write_text(f"name,address,identity\npi,{server.address},{server.identity}\n")
    enroll_list(boards, known_hosts, start=tmp_path)
    target = Inventory(tmp_path / "kedge.toml").get("pi")
    assert (target.host_key, target.host_ca) == (None, authority.fingerprint)
    connect(target).close()
    known_hosts.write_text(known_hosts.read_text() + f"@revoked * {authority.public_key}\n")
    (tmp_path / "kedge.toml").unlink()
    with pytest.raises(Exception, match="no host key .* is known"):
        enroll_list(boards, known_hosts, start=tmp_path)


def test_known_hosts_names_the_authority_of_a_jump_host(
    server: LoopbackSshd, authority: Authority, home: Path, tmp_path: Path
) -> None:
    shutil.copy(server.identity, home / ".ssh" / "id_ed25519")
    known_hosts = home / ".ssh" / "known_hosts"
    target = replace(certified(server, authority), jump=server.address)
    known_hosts.write_text("")
    with pytest.raises(HostKeyError, match="jump host .* is not known"):
        connect(target)
    known_hosts.write_text(f"@cert-authority * {Authority(tmp_path).public_key}\n")
    with pytest.raises(HostKeyError, match="jump host .* of the authority"):
        connect(target)
    known_hosts.write_text(f"@cert-authority [127.0.0.1]:* {authority.public_key}\n")
    with connect(target) as transport:
        assert transport.run("echo here", b"", 30).stdout == b"here\n"
    known_hosts.write_text(known_hosts.read_text() + f"@revoked * {authority.public_key}\n")
    with pytest.raises(HostKeyError):
        connect(target)


@pytest.fixture
def public_key(tmp_path: Path) -> Path:
    make_key(tmp_path / "host")
    return tmp_path / "host.pub"


@pytest.mark.parametrize(
    ("options", "host", "words"),
    [
        ([], "other", "is for other, not for board"),
        ([], "", "is for no host by name, not for board"),
        (["-V", "20200101:20200102"], "board", "is not valid at this time"),
        (["-V", "20380101:20390102"], "board", "is not valid at this time"),
        (["-O", "critical:x@y=1"], "board", "has an option"),
    ],
)
def test_a_certificate_for_something_else_is_refused(
    authority: Authority, public_key: Path, options: list[str], host: str, words: str
) -> None:
    blob = authority.certify(public_key, *options, host=host)
    with pytest.raises(HostKeyError, match=words) as refusal:
        check_certificate("pi", "Board", blob, {authority.fingerprint})
    assert refusal.value.hint


def test_each_kind_of_authority_is_understood(tmp_path: Path, public_key: Path) -> None:
    for kind in ("ed25519", "ecdsa", "rsa"):
        authority = Authority(tmp_path, kind)
        blob = authority.certify(public_key, host="BOARD,other")
        known = {authority.fingerprint}
        assert check_certificate("pi", "board", blob, known) == authority.fingerprint
    blob = authority.certify(public_key, "-t", "ssh-rsa", host="board")
    with pytest.raises(HostKeyError, match="SHA-1"):
        check_certificate("pi", "board", blob, known)


def test_a_certificate_of_a_user_is_refused(authority: Authority, public_key: Path) -> None:
    command = ["ssh-keygen", "-q", "-s", str(authority.key), "-I", "x", "-n", "board"]
    subprocess.run([*command, str(public_key)], check=True, capture_output=True)
    text = public_key.with_name("host-cert.pub").read_text()
    with pytest.raises(HostKeyError, match="of a user"):
        check_certificate("pi", "board", base64.b64decode(text.split()[1]), {authority.fingerprint})


def test_each_changed_byte_is_noticed(authority: Authority, public_key: Path) -> None:
    blob = authority.certify(public_key, host="board")
    known = {authority.fingerprint}
    for place in range(len(blob)):
        changed = bytearray(blob)
        changed[place] ^= 1
        with pytest.raises(HostKeyError):
            check_certificate("pi", "board", bytes(changed), known)
    for end in range(0, len(blob), 7):
        with pytest.raises(HostKeyError):
            check_certificate("pi", "board", blob[:end], known)
