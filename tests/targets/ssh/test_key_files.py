"""Private keys of kinds and formats that kedge cannot read: named, with the next step."""

import base64
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from targets.inventory import Target
from targets.ssh.transport import connect_ssh
from targets.transport import LoginRefusedError
from tests.kedge import assert_refused, kedge
from tests.targets.loopback import target_at
from toolkit.demo.sshd import LoopbackSshd
from toolkit.demo.sshd_files import find_program

#: A point of the curve, as ssh-add looks at it. Source: RFC 8032, 7.1, test 1.
POINT = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")

pytestmark = pytest.mark.usefixtures("nothing_on_stderr", "no_thread_stays", "home")


def field(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def fido_public() -> bytes:
    return field(b"sk-ssh-ed25519@openssh.com") + field(POINT) + field(b"ssh:")


def write_fido_key(path: Path) -> Path:
    """A key file of `ssh-keygen -t ed25519-sk`, for a security key that is not here."""
    public = fido_public()
    private = (7).to_bytes(4, "big") * 2 + public + b"\1" + field(b"h" * 64) + field(b"")
    private += field(b"mine")
    private += bytes(range(1, 1 + -len(private) % 8))
    blob = b"openssh-key-v1\0" + field(b"none") * 2 + field(b"") + (1).to_bytes(4, "big")
    text = base64.encodebytes(blob + field(public) + field(private)).decode()
    frame = "-----{} OPENSSH PRIVATE KEY-----\n"
    path.write_text(frame.format("BEGIN") + text + frame.format("END"))
    path.chmod(0o600)
    return path


@pytest.fixture
def agent(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real SSH agent, empty."""
    path = home / "agent"
    command = [find_program("ssh-agent"), "-D", "-a", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield
    process.send_signal(signal.SIGTERM)
    process.wait()


def runs(target: Target) -> bool:
    with connect_ssh(target) as transport:
        return transport.run("echo in", b"", 10).stdout == b"in\n"


def refusal(target: Target) -> LoginRefusedError:
    with pytest.raises(LoginRefusedError) as refused:
        connect_ssh(target)
    return refused.value


def test_a_fido_key_of_the_config_is_passed_over(server: LoopbackSshd, home: Path) -> None:
    path = write_fido_key(home / "id_sk")
    text = f'Host *\n  IdentityFile "{path}"\n  IdentityFile "{server.identity}"\n'
    (home / ".ssh/config").write_text(text)

    assert runs(replace(target_at(server), identity=None))


@pytest.mark.parametrize("has_public_half", [True, False])
def test_a_fido_key_that_is_named(
    server: LoopbackSshd, tmp_path: Path, has_public_half: bool
) -> None:
    path = write_fido_key(tmp_path / "id_sk")
    if has_public_half:
        half = base64.b64encode(fido_public()).decode()
        path.with_name("id_sk.pub").write_text(f"sk-ssh-ed25519@openssh.com {half} me\n")
    refused = refusal(replace(target_at(server), identity=path))

    assert f"the identity {path} is a FIDO key (sk-ssh-ed25519@openssh.com)" in str(refused)
    assert f"ssh-add {path}" in refused.hint


def test_a_fido_key_in_the_command_line(server: LoopbackSshd, tmp_path: Path) -> None:
    path = write_fido_key(tmp_path / "id_sk")
    add = ("target", "add", "b", server.address, "--host-key", server.host_key_fingerprint)
    ran = kedge(*add, "--identity", str(path), cwd=tmp_path)

    assert_refused(ran, 6, "is a FIDO key", "ssh-add")


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("is_named", [True, False])
def test_a_fido_key_of_the_agent_comes_last(
    server: LoopbackSshd, home: Path, is_named: bool
) -> None:
    path = write_fido_key(home / "id_sk")
    for key in (path, server.identity):
        subprocess.run([find_program("ssh-add"), "-q", key], check=True, capture_output=True)
    half = base64.b64encode(fido_public()).decode()
    keys = server.folder / "authorized_keys"  # the server asks for a signature, which fails
    keys.write_text(f"sk-ssh-ed25519@openssh.com {half} me\n" + keys.read_text())
    if is_named:
        (home / ".ssh/config").write_text(f'Host *\n  IdentityFile "{path}"\n')

    assert runs(replace(target_at(server), identity=None))


def test_a_cipher_of_a_key_that_kedge_does_not_read(server: LoopbackSshd, tmp_path: Path) -> None:
    path = tmp_path / "id"
    make = [find_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "secret", "-f", str(path)]
    subprocess.run([*make, "-Z", "chacha20-poly1305@openssh.com"], check=True)
    refused = refusal(replace(target_at(server), identity=path))

    assert "is of a kind that kedge does not read" in str(refused)
    assert f"ssh-keygen -p -f {path}" in refused.hint


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
@pytest.mark.parametrize("passphrase", ["", "a secret"])
def test_pkcs8_is_named_with_the_command_that_converts_it(
    server: LoopbackSshd, tmp_path: Path, kind: str, passphrase: str
) -> None:
    path = tmp_path / "id"
    program = find_program("ssh-keygen")
    subprocess.run([program, "-q", "-t", kind, "-N", passphrase, "-f", str(path)], check=True)
    rewrite = [program, "-q", "-p", "-P", passphrase, "-N", passphrase]
    subprocess.run([*rewrite, "-m", "PKCS8", "-f", str(path)], check=True, capture_output=True)
    keys = server.folder / "authorized_keys"
    keys.write_text(keys.read_text() + path.with_suffix(".pub").read_text())
    target = replace(target_at(server), identity=path)
    refused = refusal(target)

    assert f"the identity {path} is in the format of PKCS#8" in str(refused)
    assert refused.hint == f"Convert it: ssh-keygen -p -f {path} -m PEM"
    if not passphrase:
        command = [*rewrite, "-f", str(path), "-m", "PEM"]  # as the hint says
        subprocess.run(command, check=True, capture_output=True)
        assert runs(target)


@pytest.mark.parametrize(
    ("text", "name", "command"),
    [
        ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", "PuTTY", "puttygen {} -O"),
        ("PuTTY-User-Key-File-2: ssh-rsa\r\nEncryption: aes256-cbc\r\n", "PuTTY", "puttygen {} -O"),
        ("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n", "SSH.COM", "ssh-keygen -i -f {}"),
    ],
)
def test_a_format_of_others_is_named(
    server: LoopbackSshd, tmp_path: Path, text: str, name: str, command: str
) -> None:
    path = tmp_path / "id.ppk"
    path.write_text(text)
    refused = refusal(replace(target_at(server), identity=path))

    assert f"the identity {path} is in the format of {name}" in str(refused)
    assert command.format(path) in refused.hint


def test_a_format_in_the_config_is_passed_over_and_named(server: LoopbackSshd, home: Path) -> None:
    path = home / "id.ppk"
    path.write_text("PuTTY-User-Key-File-3: ssh-ed25519\n")
    config = f'Host *\n  IdentityFile "{path}"\n'
    (home / ".ssh/config").write_text(config)
    refused = refusal(replace(target_at(server), identity=None))
    assert "is in the format of PuTTY" in str(refused)
    assert "puttygen" in refused.hint

    (home / ".ssh/config").write_text(config + f'  IdentityFile "{server.identity}"\n')
    assert runs(replace(target_at(server), identity=None))
