"""A file of allowed signers is read as ssh-keygen reads it; a wrong line is named."""

import subprocess
from pathlib import Path

import pytest

from toolkit.bundle.signers_file import SignersError, parse_signers, read_signers


@pytest.fixture
def key(tmp_path: Path) -> str:
    """A public key, as its file has it."""
    path = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a comment", "-f", str(path)]
    subprocess.run(command, check=True)
    return (tmp_path / "key.pub").read_text().strip()


def signers_in(folder: Path, text: str) -> Path:
    path = folder / "allowed_signers"
    path.write_text(text)
    return path


def test_a_signer_has_a_name_and_the_fingerprint_that_ssh_keygen_prints(
    tmp_path: Path, key: str
) -> None:
    text = f"# who may sign\n\n  ann@farm  {key}  \n"
    (signer,) = read_signers(signers_in(tmp_path, text))
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(tmp_path / "key.pub")], check=True, capture_output=True
    )
    assert signer.fingerprint in shown.stdout.decode()
    assert (signer.principals, signer.key_type) == ("ann@farm", "ssh-ed25519")
    assert signer.line == " ".join(["ann@farm", *key.split()[:2]])


@pytest.mark.parametrize(
    "before",
    [
        "ann,bob",
        '"ann,bob smith"',
        '*@farm namespaces="kedge-release,kedge-order"',
        'ann cert-authority,namespaces="kedge-release"',
        'ann valid-after="20240101",valid-before="20300101"',
    ],
)
def test_options_and_patterns_of_ssh_keygen_are_kept(tmp_path: Path, key: str, before: str) -> None:
    (signer,) = read_signers(signers_in(tmp_path, f"{before} {key}\n"))
    assert signer.line.startswith(before)
    assert parse_signers([signer.line], "the root") == (signer,)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ann", "line 2: expected `NAME"),
        ("ann ssh-dss AAAA", "line 2: expected `NAME"),
        ("ann ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "line 2: the key of 'ann' is damaged"),
        ("ann ssh-ed25519 !!!", "line 2: the key of 'ann' is damaged"),
        ("ann secret-option KEY", "line 2: expected"),
        ("ann\x1b[31m KEY", "line 2: has a character"),
        ("änn KEY", "line 2: has a character"),
        ("bob KEY", "line 2: the key SHA256:.* stands in line 1 already"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, key: str, line: str, words: str) -> None:
    other = " ".join(key.split()[:2])
    text = f"ann {key}\n{line.replace('KEY', other)}\n"
    if "bob" not in line:
        text = "# \n" + text.splitlines()[1] + "\n"
    with pytest.raises(SignersError, match=words) as refusal:
        read_signers(signers_in(tmp_path, text))
    assert refusal.value.hint


def test_a_file_without_a_signer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SignersError, match="has 0 signers, expected 1 to 100"):
        read_signers(signers_in(tmp_path, "# nobody\n"))
    with pytest.raises(SignersError, match="cannot be read"):
        read_signers(tmp_path / "gone")
    with pytest.raises(SignersError, match="more than"):
        read_signers(signers_in(tmp_path, "#" * (2 << 20)))
