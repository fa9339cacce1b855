"""Private keys of kinds and formats that kedge cannot read: named, with the next step."""

import base64
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from targets.inventory import Target
from targets.ssh import agent as agent_module
from targets.ssh.key_file import KeyLockedError, read_key, unlock_key
from targets.ssh.secrets import SECRETS
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


@pytest.mark.parametrize("kind", ["ecdsa", "rsa", "ed25519"])
@pytest.mark.parametrize("form", ["PKCS8", "PEM", "RFC4716"])
@pytest.mark.parametrize("passphrase", ["", "a secret"])
def test_a_key_in_every_form_of_ssh_keygen(
    tmp_path: Path, kind: str, form: str, passphrase: str
) -> None:
    path = tmp_path / "id"
    program = find_program("ssh-keygen")
    make = [program, "-q", "-t", kind, "-N", passphrase, "-m", form, "-C", "", "-f", str(path)]
    subprocess.run(make, check=True)
    public = path.with_suffix(".pub").read_text().split()[1]
    if passphrase:
        with pytest.raises(KeyLockedError):
            read_key(path)
        assert unlock_key(path, b"another") is None
        key = unlock_key(path, passphrase.encode())
    else:
        key = read_key(path)

    assert key is not None
    assert key.get_base64() == public


def test_ecdsa_keys_without_a_comment_are_read(tmp_path: Path) -> None:
    for number in range(20):  # every third one has the padding that paramiko misreads
        path = tmp_path / f"id{number}"
        make = [
            find_program("ssh-keygen"),
            "-q",
            "-t",
            "ecdsa",
            "-N",
            "",
            "-C",
            "",
            "-f",
            str(path),
        ]
        subprocess.run(make, check=True)
        assert read_key(path).get_base64() == path.with_suffix(".pub").read_text().split()[1]


@pytest.mark.usefixtures("agent")
def test_a_public_half_names_a_key_of_the_agent(server: LoopbackSshd, home: Path) -> None:
    other = home / "other"
    make = [find_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(other)]
    subprocess.run(make, check=True)
    for key in (other, server.identity):
        subprocess.run([find_program("ssh-add"), "-q", key], check=True, capture_output=True)
    public = server.identity.with_suffix(".pub")
    text = f'Host *\n  IdentityFile "{public}"\n  IdentitiesOnly yes\n'
    (home / ".ssh/config").write_text(text)

    assert runs(replace(target_at(server), identity=None))


@pytest.fixture
def hanging_agent(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An agent that accepts and never answers."""
    monkeypatch.setattr(agent_module, "LIST_TIMEOUT_S", 0.5)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "hangs"))
        listener.listen(9)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "hangs"))
        yield home / "hangs"


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What the person is told."""
    texts: list[str] = []
    SECRETS.ask_with(None, texts.append)
    yield texts
    SECRETS.ask_with(None)


def test_an_agent_that_hangs_is_gone_on_without(
    server: LoopbackSshd, home: Path, hanging_agent: Path, warnings: list[str]
) -> None:
    target = replace(target_at(server), identity=None)
    refused = refusal(target)
    assert f"the SSH agent at {hanging_agent} does not answer" in str(refused)

    shutil.copy(server.identity, home / ".ssh/id_ed25519")
    assert runs(target)
    assert warnings == [f"the SSH agent at {hanging_agent} does not answer; going on without it"]


@pytest.mark.parametrize("kind", ["gone", "dead", "a file"])
def test_an_agent_that_is_gone_is_named(
    server: LoopbackSshd, home: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = home / "agent"
    if kind == "dead":  # its socket stays behind
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    elif kind == "a file":
        path.touch()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    refused = refusal(replace(target_at(server), identity=None))

    assert f"no SSH agent answers at {path}" in str(refused)
    assert "SSH agent" in refused.hint
    assert runs(target_at(server))


@pytest.mark.usefixtures("agent")
def test_an_agent_without_keys_is_named(server: LoopbackSshd) -> None:
    refused = refusal(replace(target_at(server), identity=None))

    assert "names no key; it has none, or is locked" in str(refused)


@pytest.mark.parametrize("setting", ["none", "'{home}/nothing'", "$NOT_SET", "'{home}/my agent'"])
def test_another_agent_can_be_named(
    server: LoopbackSshd, home: Path, hanging_agent: Path, warnings: list[str], setting: str
) -> None:
    shutil.copy(server.identity, home / ".ssh/id_ed25519")
    setting = setting.format(home=home).replace("'", '"')
    (home / ".ssh/config").write_text(f"Host *\n  IdentityAgent {setting}\n")

    assert runs(replace(target_at(server), identity=None))
    assert (hanging_agent.exists(), warnings) == (True, [])


@pytest.mark.usefixtures("agent")
def test_an_agent_that_stops_before_it_signs(
    server: LoopbackSshd, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_module, "SIGN_TIMEOUT_S", 0.5)
    subprocess.run([find_program("ssh-add"), "-q", server.identity], check=True)
    other = home / ".ssh/id_rsa"
    make = [find_program("ssh-keygen"), "-q", "-t", "rsa", "-N", "", "-f", str(other)]
    subprocess.run(make, check=True)
    subprocess.run([find_program("ssh-add"), "-q", other], check=True)
    other.unlink()  # only the agent has it
    shutil.copy(server.identity, home / ".ssh/id_ed25519")
    monkeypatch.setattr(paramiko.AgentKey, "sign_ssh_data", hang)

    (home / ".ssh/config").write_text(f'Host *\n  IdentityFile "{other}"\n')
    refused = refusal(replace(target_at(server), identity=None))
    assert "does not answer" in str(refused)
    text = f'Host *\n  IdentityFile "{other}"\n  IdentityFile "{server.identity}"\n'
    (home / ".ssh/config").write_text(text)
    assert runs(replace(target_at(server), identity=None))


def hang(*_: object) -> bytes:
    raise TimeoutError


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


def test_a_pipe_as_identity_is_refused_without_waiting(
    server: LoopbackSshd, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    target = replace(target_at(server), identity=tmp_path / "pipe")

    with pytest.raises(LoginRefusedError, match="it is no regular file"):
        connect_ssh(target)


def make_openssl_key(path: Path, *arguments: str) -> Path:
    subprocess.run(["openssl", *arguments, "-out", str(path)], check=True, capture_output=True)
    return path


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("ecparam", "-genkey", "-noout", "-name", "secp256k1"), "the curve secp256k1"),
        (("ecparam", "-genkey", "-noout", "-name", "secp224r1"), "the curve secp224r1"),
        (("ecparam", "-genkey", "-name", "brainpoolP256r1"), "the curve brainpoolP256r1"),
        (("genpkey", "-algorithm", "ED448"), "the type Ed448"),
        (("genpkey", "-algorithm", "X25519"), "the type X25519"),
    ],
)
def test_a_key_that_ssh_has_no_name_for(
    arguments: tuple[str, ...], what: str, tmp_path: Path
) -> None:
    with pytest.raises(LoginRefusedError) as refused:
        read_key(make_openssl_key(tmp_path / "key", *arguments))

    assert what in str(refused.value)
    assert "ssh-keygen -t ed25519" in refused.value.hint


@pytest.mark.parametrize("text", [b"garbage\n", b"", b"ssh-ed25519 AAAA\n", b"\xff\xfe x\n"])
def test_a_damaged_certificate_does_not_hide_the_key(server: LoopbackSshd, text: bytes) -> None:
    certificate = server.identity.with_name(server.identity.name + "-cert.pub")
    certificate.write_bytes(text)

    assert runs(target_at(server))


def test_a_putty_key_with_a_byte_order_mark_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key.ppk"
    path.write_bytes(b"\xef\xbb\xbfPuTTY-User-Key-File-3: ssh-ed25519\n")
    with pytest.raises(LoginRefusedError, match="format of PuTTY"):
        read_key(path)
