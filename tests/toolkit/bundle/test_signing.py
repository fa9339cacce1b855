"""Signatures with keys that people have, by the real ssh-keygen; and what its refusals mean."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_agent.contract.codes import IntegrityError
from device_agent.contract.order import ORDER_NAMESPACE
from tests.toolkit.bundle.small_bundle import DIGESTS, make_key
from toolkit.bundle.order_file import OrderError, new_order, read_signed_order, sign_order
from toolkit.bundle.signing import (
    MOST_SIGNATURE_BYTES,
    SigningError,
    check_signature,
    find_signer,
    needs_touch,
    sign,
)

NAMESPACE = "kedge-test"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path / "key")


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An SSH agent of its own, without keys."""
    text = subprocess.run(["ssh-agent", "-s"], check=True, capture_output=True, text=True).stdout
    values = dict(line.split(";")[0].split("=", 1) for line in text.splitlines() if "=" in line)
    monkeypatch.setenv("SSH_AUTH_SOCK", values["SSH_AUTH_SOCK"])
    yield
    os.kill(int(values["SSH_AGENT_PID"]), 15)


def test_a_signature_fits_its_bytes_and_its_purpose_only(key: Path) -> None:
    signature = sign(b"text", key, NAMESPACE)

    fits = check_signature(b"text", signature, NAMESPACE)
    assert fits.key_type == "ED25519"
    assert fits.fingerprint in subprocess.check_output(["ssh-keygen", "-lf", key], text=True)
    for text, namespace in ((b"texT", NAMESPACE), (b"text", "kedge-other")):
        with pytest.raises(IntegrityError, match="does not fit"):
            check_signature(text, signature, namespace)
    with pytest.raises(IntegrityError):
        check_signature(b"text", signature.replace(b"A", b"B"), NAMESPACE)
    with pytest.raises(IntegrityError, match="bytes"):
        check_signature(b"text", b"x" * (MOST_SIGNATURE_BYTES + 1), NAMESPACE)


def test_a_key_of_the_agent_signs_by_its_public_half(
    key: Path, agent: None, tmp_path: Path
) -> None:
    public = tmp_path / "elsewhere.pub"
    shutil.copy(f"{key}.pub", public)
    with pytest.raises(SigningError, match="neither the SSH agent nor a file"):
        sign(b"text", public, NAMESPACE)

    subprocess.run(["ssh-add", "-q", key], check=True)
    check_signature(b"text", sign(b"text", public, NAMESPACE), NAMESPACE)


def test_what_cannot_sign_is_named_with_the_next_step(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(SigningError, match="not found"):
        sign(b"text", tmp_path / "absent", NAMESPACE)
    with pytest.raises(SigningError, match="is no key"):
        (tmp_path / "text").write_text("no key")
        sign(b"text", tmp_path / "text", NAMESPACE)
    key.chmod(0o644)
    with pytest.raises(SigningError, match="others than you") as refusal:
        sign(b"text", key, NAMESPACE)
    assert "chmod 600" in refusal.value.hint


def test_a_key_with_a_passphrase_is_left_to_the_agent_where_nobody_can_be_asked(
    tmp_path: Path,
) -> None:
    make_key(tmp_path / "secret", "correct horse")
    program = (
        "from pathlib import Path\nfrom toolkit.bundle.signing import *\n"
        f"try: sign(b'', Path({str(tmp_path / 'secret')!r}), 'kedge-test')\n"
        "except SigningError as error: print(error, error.hint)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        start_new_session=True,  # no terminal to ask at
    ).stdout
    assert "passphrase" in answer
    assert f"ssh-add {tmp_path / 'secret'}" in answer


def fake_ssh_keygen(folder: Path, script: str) -> None:
    program = folder / "ssh-keygen"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_an_ssh_keygen_that_is_old_or_absent_is_named(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SigningError, match="no ssh-keygen") as refusal:
        sign(b"text", key, NAMESPACE)
    assert "8.2" in refusal.value.hint

    fake_ssh_keygen(tmp_path, "echo 'ssh-keygen: unknown option -- Y' >&2; exit 1")
    with pytest.raises(SigningError, match="too old: it knows no -Y check-novalidate"):
        check_signature(b"text", b"signature", NAMESPACE)
    unsupported = "echo 'Unsupported operation for -Y: \"find-principals\"' >&2; exit 255"
    fake_ssh_keygen(tmp_path, unsupported)
    with pytest.raises(SigningError, match="too old: it knows no -Y find-principals"):
        find_signer(b"text", b"signature", NAMESPACE, tmp_path / "signers")


def test_the_name_of_a_signer_comes_from_a_file_of_allowed_signers(
    key: Path, tmp_path: Path
) -> None:
    other = make_key(tmp_path / "other")
    signature = sign(b"text", key, NAMESPACE)
    signers = tmp_path / "signers"
    signers.write_text(f"bob@x {Path(f'{other}.pub').read_text()}")
    assert find_signer(b"text", signature, NAMESPACE, signers) is None

    signers.write_text(f'ann@x namespaces="kedge-*" {Path(f"{key}.pub").read_text()}')
    assert find_signer(b"text", signature, NAMESPACE, signers) == "ann@x"
    assert find_signer(b"texT", signature, NAMESPACE, signers) is None
    signers.write_text(f'ann@x namespaces="git" {Path(f"{key}.pub").read_text()}')
    assert find_signer(b"text", signature, NAMESPACE, signers) is None


def test_a_security_key_is_known_by_its_public_half(tmp_path: Path) -> None:
    (tmp_path / "sk.pub").write_text("sk-ssh-ed25519@openssh.com AAAA me\n")
    assert needs_touch(tmp_path / "sk")
    assert needs_touch(tmp_path / "sk.pub")
    assert not needs_touch(make_key(tmp_path / "key"))


def test_an_order_is_signed_and_read_again(key: Path) -> None:
    order = new_order("cats", "lab", DIGESTS["model.tflite"], 1, "ann", 3600)
    signed = sign_order(order, (key,))

    assert read_signed_order(signed.text, signed.signatures) == signed
    check_signature(signed.text, signed.signatures[0], ORDER_NAMESPACE)
    with pytest.raises(IntegrityError, match="does not fit"):
        read_signed_order(signed.text.replace(b"lab", b"lub"), signed.signatures)
    with pytest.raises(IntegrityError, match="damaged"):
        read_signed_order(signed.text + b" ", signed.signatures)
    with pytest.raises(OrderError, match="app: expected"):
        new_order("../etc", "lab", DIGESTS["model.tflite"], 1, "ann", 3600)
