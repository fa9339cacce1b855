"""`kedge bundle` as a person uses it; what differs ends with its exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kedge import assert_refused, kedge
from tests.tiny_model import relu_model
from tests.toolkit.bundle.conversion_folder import compiled_model, write_conversion_folder
from tests.toolkit.bundle.small_bundle import make_key, small_manifest, write_small


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A conversion with a compiled model, keys of two people, and who may sign."""
    write_conversion_folder(tmp_path / "out")
    (tmp_path / "out" / "model_edgetpu.tflite").write_bytes(compiled_model())
    for name in ("ann", "bob", "eve"):
        make_key(tmp_path / name)
    lines = [f"{name}@x {(tmp_path / f'{name}.pub').read_text()}" for name in ("ann", "bob")]
    (tmp_path / "signers").write_text("".join(lines))
    return tmp_path


def build(folder: Path, *options: str) -> None:
    files = ("out", "out/model_edgetpu.tflite")
    ran = kedge("bundle", "build", *files, "--name", "cats", "--out", "b", *options, cwd=folder)
    assert ran.code == 0, ran.err


def test_a_release_is_built_shown_and_verified(folder: Path) -> None:
    build(folder, "--sign", "ann", "--version", "1.4", "--expires", "2030-01-01")
    shown = kedge("bundle", "show", "b", "--signers", "signers", "--bom", "bom.json", cwd=folder)
    assert shown.code == 0, shown.err
    for words in ("cats 1.4", "edgetpu_int8", "cpu_int8", "98.00 %", "signed by ann@x ED25519"):
        assert words in shown.out
    assert json.loads((folder / "bom.json").read_text())["bomFormat"] == "CycloneDX"

    plain = kedge("bundle", "show", "b", "--json", cwd=folder).json
    assert plain["schema"] == 1
    assert [variant["name"] for variant in plain["variants"]] == ["edgetpu_int8", "cpu_int8"]
    assert plain["signatures"][0]["fingerprint"].startswith("SHA256:")
    verified = kedge("bundle", "verify", "b", "--signers", "signers", "--json", cwd=folder)
    assert verified.code == 0, verified.err
    assert verified.json["digest"] == plain["digest"]


def test_two_people_sign_one_release(folder: Path) -> None:
    build(folder, "--sign", "ann")
    verify = ("bundle", "verify", "b", "--signers", "signers", "--threshold", "2")
    assert_refused(kedge(*verify, cwd=folder), 8, "1 trusted keys", "expected 2", "bundle sign")
    for key in ("eve", "ann"):  # a stranger, and a key that has signed: neither counts
        assert kedge("bundle", "sign", "b", "--sign", key, cwd=folder).code == 0
        assert_refused(kedge(*verify, cwd=folder), 8, "1 trusted keys")
    signed = kedge("bundle", "sign", "b", "--sign", "bob", cwd=folder)
    assert "signatures: 3" in signed.out
    done = kedge(*verify, cwd=folder)
    assert done.code == 0, done.err
    assert "ann@x" in done.out
    assert "bob@x" in done.out


def test_what_differs_ends_with_code_5_before_trust_is_asked(folder: Path) -> None:
    build(folder, "--sign", "eve")
    content = bytearray((folder / "b").read_bytes())
    content[-2000] ^= 1
    (folder / "b").write_bytes(content)
    assert_refused(kedge("bundle", "verify", "b", "--signers", "signers", cwd=folder), 5)
    assert_refused(kedge("bundle", "show", "b", cwd=folder), 5)
    assert_refused(kedge("bundle", "sign", "b", "--sign", "ann", cwd=folder), 5)


def test_a_signature_over_another_manifest_ends_with_code_5(tmp_path: Path) -> None:
    from device_agent.contract.manifest import encode_manifest
    from tests.toolkit.bundle.small_bundle import chunks_of_small
    from toolkit.bundle.bundle_file import write_bundle

    signed = write_small(tmp_path / "b", make_key(tmp_path / "ann"))
    other = encode_manifest(small_manifest(counter=2))
    write_bundle(tmp_path / "b", other, signed.signatures, chunks_of_small)
    for command in ("show", "verify"):
        assert_refused(kedge("bundle", command, "b", cwd=tmp_path), 5, "does not fit")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("build", "absent.tflite", "--name", "cats", "--out", "b"), 4, "absent.tflite"),
        (("build", "labels.txt", "--name", "cats", "--out", "b"), 4, "no model"),
        (("build", "m.tflite", "--name", "Ca/ts", "--out", "b"), 4, "small letters"),
        (("build", "m.tflite", "--name", "cats", "--out", "b", "--sign", "absent"), 3, "absent"),
        (("build", "m.tflite", "--name", "cats", "--out", "b", "--settings", "s"), 3, "s: cannot"),
        (("build", "m.tflite", "--name", "cats", "--out", "b", "--expires", "soon"), 4, "expires"),
        (("show", "absent"), 4, "cannot be read"),
        (("verify", "m.tflite"), 5, "no bundle"),
        (("verify", "signed", "--signers", "absent"), 3, "absent: cannot be read"),
        (("verify", "signed", "--signers", "labels.txt"), 3, "labels.txt, line 1"),
        (("consumer", "Ca/ts"), 3, "small letters"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    (tmp_path / "m.tflite").write_bytes(relu_model())
    (tmp_path / "labels.txt").write_text("ant")
    write_small(tmp_path / "signed")
    assert_refused(kedge("bundle", *arguments, cwd=tmp_path), code, words)
    assert not (tmp_path / "b").exists()


def test_names_of_a_bundle_never_reach_the_terminal_as_they_are(tmp_path: Path) -> None:
    manifest = small_manifest(
        version="1\x1b[2J\u202e", provenance={"licences": {"app": "\x1b]0;x"}}
    )
    write_small(tmp_path / "b", manifest=manifest)
    shown = kedge("bundle", "show", "b", cwd=tmp_path)
    assert shown.code == 0, shown.err
    assert "\x1b" not in shown.out
    assert "\u202e" not in shown.out


@pytest.mark.parametrize(
    "provenance",
    [
        {"licences": []},
        {"licences": 3},
        {"variants": 3},
        {"variants": {"cpu_int8": {"accuracy": "x"}}},
    ],
)
def test_an_odd_provenance_is_shown_without_its_figures(
    tmp_path: Path, provenance: dict[str, object]
) -> None:
    write_small(tmp_path / "b", manifest=small_manifest(provenance=provenance))
    shown = kedge("bundle", "show", "b", cwd=tmp_path)
    assert shown.code == 0, shown.err
    assert "cpu_int8" in shown.out


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        ("build m.tflite --name cats --out b --json", {"tensorflow", "keras", "paramiko"}),
        ("show signed", {"tensorflow", "paramiko", "numpy", "ai_edge_litert", "cyclonedx"}),
        ("verify signed", {"tensorflow", "paramiko", "numpy", "ai_edge_litert", "cyclonedx"}),
    ],
)
def test_a_command_loads_what_it_needs(tmp_path: Path, arguments: str, absent: set[str]) -> None:
    (tmp_path / "m.tflite").write_bytes(relu_model())
    write_small(tmp_path / "signed")
    code = (
        "import sys, toolkit.cli.main as m; "
        f"assert m.run_command_line({['bundle', *arguments.split()]!r}) == 0; "
        f"print('loaded', *({absent!r} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "loaded"


def test_a_person_is_told_to_touch_a_security_key(folder: Path) -> None:
    (folder / "token").write_text("no key of a token here")
    (folder / "token.pub").write_text("sk-ssh-ed25519@openssh.com AAAA ann\n")
    write_small(folder / "b")
    ran = kedge("bundle", "sign", "b", "--sign", "token", cwd=folder)
    assert_refused(ran, 3, "touch the security key of token", "is no key of ssh-keygen")


def test_the_lines_for_an_application_name_its_folder(tmp_path: Path) -> None:
    ran = kedge("bundle", "consumer", "cats", "--root", "/opt/kedge", cwd=tmp_path)
    assert '"/opt/kedge/store/apps/cats"' in ran.out
