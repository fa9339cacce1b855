"""OpenSSH certificates of users: one that is refused is explained, and the plain key is tried."""

import getpass
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from targets.inventory import Target
from targets.ssh.certificate import find_certificate_problem
from targets.ssh.transport import connect_ssh
from targets.transport import LoginRefusedError
from tests.targets.loopback import start_own_sshd, target_at
from toolkit.demo.sshd import LoopbackSshd
from toolkit.demo.sshd_files import find_program

pytestmark = pytest.mark.usefixtures("nothing_on_stderr", "no_thread_stays", "home")


def ssh_keygen(*arguments: object) -> None:
    subprocess.run([find_program("ssh-keygen"), "-q", *map(str, arguments)], check=True)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A key that signs the keys of users."""
    path = tmp_path / "authority"
    ssh_keygen("-t", "ed25519", "-N", "", "-f", path)
    return path


@pytest.fixture
def trusting_server(tmp_path: Path, authority: Path) -> Iterator[LoopbackSshd]:
    trust = f"TrustedUserCAKeys {authority}.pub"
    with start_own_sshd(tmp_path / "sshd", extra_config=(trust,)) as server:
        yield server


@pytest.fixture
def target(trusting_server: LoopbackSshd, tmp_path: Path) -> Target:
    """A board that knows the authority, and not the user's key."""
    return replace(target_at(trusting_server), identity=tmp_path / "id")


def sign(authority: Path, key: Path, validity: str, user: str = "", kind: str = "ed25519") -> None:
    if not key.exists():
        ssh_keygen("-t", kind, "-N", "", "-f", key)
    named = ["-n", user or getpass.getuser()]
    ssh_keygen("-s", authority, "-I", "me", *named, "-V", validity, f"{key}.pub")


def runs(target: Target) -> bool:
    with connect_ssh(target) as transport:
        return transport.run("echo in", b"", 10).stdout == b"in\n"


def test_a_certificate_logs_in(target: Target, authority: Path, tmp_path: Path) -> None:
    sign(authority, tmp_path / "id", "-1d:+1d")
    assert runs(target)


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
@pytest.mark.parametrize(
    ("validity", "user", "said"),
    [
        ("-2d:-1d", "", "its certificate ended on 20"),
        ("+1d:+2d", "", "its certificate begins on 20"),
        ("-1d:+1d", "ann,bob", "its certificate is for ann, bob, not for "),
    ],
)
def test_a_refused_certificate_is_explained(
    target: Target, authority: Path, tmp_path: Path, validity: str, user: str, said: str, kind: str
) -> None:
    sign(authority, tmp_path / "id", validity, user, kind)
    with pytest.raises(LoginRefusedError) as refused:
        runs(target)
    assert said in str(refused.value)
    assert "new certificate" in refused.value.hint


def test_the_key_of_an_old_certificate_logs_in_by_itself(
    trusting_server: LoopbackSshd, authority: Path, tmp_path: Path
) -> None:
    key = tmp_path / "id"
    for end in ("", ".pub"):
        shutil.copy(f"{trusting_server.identity}{end}", f"{key}{end}")
    sign(authority, key, "-2d:-1d")
    assert runs(replace(target_at(trusting_server), identity=key))


@pytest.mark.parametrize("blob", [b"", b"\0", b"\xff" * 64, b"\0\0\0\x0bssh-ed25519" + b"\xff" * 9])
def test_what_is_no_certificate_explains_nothing(blob: bytes) -> None:
    assert find_certificate_problem(blob, "me", time.time()) == ""
