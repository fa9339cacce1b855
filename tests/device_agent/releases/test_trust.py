"""Who may sign: trust roots, thresholds, rotation, and signatures that do not count."""

import re
from pathlib import Path
from time import gmtime
from typing import Any

import pytest

from device_agent.contract.codes import (
    BAD_REQUEST,
    DIGEST_MISMATCH,
    NO_VERIFIER,
    REPLAYED,
    UNTRUSTED,
    RefusalError,
)
from device_agent.contract.manifest import RELEASE_NAMESPACE
from device_agent.contract.order import ORDER_NAMESPACE
from device_agent.contract.trust_root import TrustRoot, encode_root
from device_agent.signatures import find_verifier, require_signatures
from tests.device_agent.releases.session import SampleBoard
from tests.device_agent.releases.signed import (
    FLEET,
    SampleRelease,
    public_key,
    signature,
    trust_request,
)

TEXT = b"a signed text\n"


def line(name: str, options: str = "") -> str:
    return " ".join(filter(None, (f"{name}@example.com", options, public_key(name))))


def check(signers: list[str], threshold: int, *signatures: str) -> str:
    """Code of the refusal; empty where the text is accepted."""
    try:
        require_signatures("the release", TEXT, signatures, RELEASE_NAMESPACE, signers, threshold)
    except RefusalError as refusal:
        return refusal.code
    return ""


def by(name: str, text: bytes = TEXT, namespace: str = RELEASE_NAMESPACE) -> str:
    return signature(text, namespace, name)


def refusal(board: SampleBoard, op: str, args: dict[str, Any]) -> RefusalError:
    with pytest.raises(RefusalError) as refused:
        board.ask(op, args)
    return refused.value


def test_different_keys_count() -> None:
    ann, bob = line("ann"), line("bob")

    assert check([ann], 1, by("ann")) == ""
    assert check([ann, bob], 2, by("ann"), by("bob")) == ""
    assert check([ann, bob], 2, by("ann"), by("ann")) == UNTRUSTED
    same_key = f"other-name {public_key('ann')}"
    assert check([ann, same_key], 2, by("ann"), by("ann")) == UNTRUSTED
    assert check([ann], 1) == UNTRUSTED
    assert check([ann], 1, by("eve")) == UNTRUSTED
    assert check([ann], 1, by("eve"), by("ann")) == ""


def test_integrity_comes_before_trust() -> None:
    damaged = by("ann").replace("A", "B", 5)

    assert check([line("ann")], 1, by("eve", b"another text")) == DIGEST_MISMATCH
    assert check([line("ann")], 1, by("ann"), by("ann", b"another text")) == DIGEST_MISMATCH
    for text in (damaged, "", "x", by("ann")[:-40], by("ann") * 2, "A" * 20000, "\0\x1b[2J"):
        assert check([line("ann")], 1, text) == DIGEST_MISMATCH


def test_a_signature_for_another_purpose_does_not_count() -> None:
    assert check([line("ann")], 1, by("ann", namespace=ORDER_NAMESPACE)) == UNTRUSTED


def test_options_of_a_signer_are_kept() -> None:
    expired = line("ann", 'valid-before="20200101"')
    orders_only = line("ann", f'namespaces="{ORDER_NAMESPACE}"')

    assert check([expired], 1, by("ann")) == UNTRUSTED
    assert check([orders_only], 1, by("ann")) == UNTRUSTED
    assert check([line("ann", f'namespaces="{RELEASE_NAMESPACE}"')], 1, by("ann")) == ""


def test_a_signer_that_the_clock_forbids_is_refused_with_the_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("device_agent.signatures.time.gmtime", lambda: gmtime(60.0))
    later = line("ann", 'valid-after="20900101"')
    with pytest.raises(RefusalError, match="does not let SHA256") as refused:
        require_signatures("the release", TEXT, [by("ann")], RELEASE_NAMESPACE, [later], 1)

    assert "the clock of the board says 1970-01-01 00:01 UTC" in str(refused.value)
    assert 'valid-after="20900101"' in str(refused.value)
    assert "set its clock" in refused.value.hint


def test_a_board_without_a_verifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, signed = line("ann"), by("ann")
    monkeypatch.setattr("device_agent.signatures._PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no ssh-keygen" in find_verifier().absence
    assert check([ann], 1, signed) == NO_VERIFIER

    old = tmp_path / "ssh-keygen"
    old.write_text("#!/bin/sh\necho 'unknown option -- Y'\n")
    old.chmod(0o755)
    (tmp_path / "ssh").write_bytes(b"\0OpenSSH_7.9p1 Debian\0")
    verifier = find_verifier()
    assert (verifier.path, verifier.version) == ("", "")
    assert "OpenSSH 7.9p1" in verifier.absence
    assert "expected OpenSSH 8.1 or newer" in verifier.absence
    assert check([ann], 1, signed) == NO_VERIFIER


def test_the_first_root_is_the_operators_word(board: SampleBoard) -> None:
    assert board.ask("trust", trust_request("ann", version=3))["version"] == 3
    assert board.ask("trust", trust_request("ann", version=3))["version"] == 3
    assert board.ask("releases")["root_version"] == 3
    other = refusal(board, "trust", trust_request("bob", version=3, signed_by=["bob"]))
    assert other.code == UNTRUSTED


def test_signers_change_by_both_thresholds(board: SampleBoard) -> None:
    board.enrol("ann", "bob", threshold=2)
    new = ["bob", "cid"]
    for signed_by in ([], ["bob", "cid"], ["ann", "bob"], ["ann", "cid"]):
        request = trust_request(*new, version=2, threshold=2, signed_by=signed_by)
        assert refusal(board, "trust", request).code == UNTRUSTED
    skipped = trust_request(*new, version=3, threshold=2, signed_by=["ann", "bob", "cid"])
    assert "expected 2 next" in str(refusal(board, "trust", skipped))

    request = trust_request(*new, version=2, threshold=2, signed_by=["ann", "bob", "cid"])
    assert board.ask("trust", request)["version"] == 2
    old = trust_request("ann", "bob", threshold=2)
    assert refusal(board, "trust", old).code == REPLAYED


def test_a_removed_signer_counts_no_more(board: SampleBoard) -> None:
    board.enrol("ann")
    release = SampleRelease(1)
    board.stage(release)
    board.ask("trust", trust_request("bob", version=2, signed_by=["ann", "bob"]))

    for op, args in (
        ("activate", release.activate_request(1)),
        ("activate", release.activate_request(1, signers=["bob"])),
        ("stage", SampleRelease(1).stage_request()),
    ):
        assert refusal(board, op, args).code == UNTRUSTED
    mine = SampleRelease(1, signers=["bob"])
    board.stage(mine)
    assert board.activate(mine, 1, signers=["bob"])["current"] == mine.digest


def test_a_board_that_trusts_nobody_takes_no_release(board: SampleBoard) -> None:
    release = SampleRelease(1)
    for content in release.blobs.values():
        board.put(content)
    fault = refusal(board, "stage", release.stage_request())

    assert fault.code == UNTRUSTED
    assert "kedge target trust" in fault.hint


@pytest.mark.parametrize(
    "signers",
    [["no key"], ["ann ssh-ed25519 AAAA"], ["ann ssh-rsa !!"], [f"*.example {'x' * 20000}"]],
    ids=lambda signers: signers[0][:20],
)
def test_signers_that_no_key_can_be_read_from(board: SampleBoard, signers: list[str]) -> None:
    text = encode_root(TrustRoot(FLEET, 1, 1, signers)).decode()
    fault = refusal(board, "trust", {"root": text, "signatures": []})
    assert fault.code == BAD_REQUEST

    doubled = encode_root(TrustRoot(FLEET, 1, 2, [line("ann"), f"x {public_key('ann')}"])).decode()
    fault = refusal(board, "trust", {"root": doubled, "signatures": []})
    assert "different keys" in str(fault)


def test_a_damaged_root_is_enrolled_again_and_no_other(board: SampleBoard) -> None:
    board.enrol("ann")
    path = board.root / "store" / "trust" / "1.json"
    path.write_text(path.read_text().replace("ann@example.com", "eve@example.com"))

    assert refusal(board, "releases", {}).code == DIGEST_MISMATCH
    assert refusal(board, "trust", trust_request("eve")).code == UNTRUSTED
    assert board.ask("trust", trust_request("ann"))["version"] == 1
    assert board.ask("releases")["root_version"] == 1


def first_places_of_values(text: str) -> list[int]:
    """Places in canonical JSON at which a key or a value begins: each field has some."""
    return [match.end() - 1 for match in re.finditer(r'[:,\[{]"?[^"{\[]', text)]


def test_one_flipped_bit_is_found(board: SampleBoard) -> None:
    board.enrol()
    release = SampleRelease(1)
    board.stage(release)
    for op, args, name in (
        ("stage", release.stage_request(), "manifest"),
        ("activate", release.activate_request(1), "order"),
    ):
        text = args[name]
        for place in first_places_of_values(text):
            flipped = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
            fault = refusal(board, op, {**args, name: flipped})
            assert fault.code in (DIGEST_MISMATCH, "incomplete"), (place, str(fault))
        (armored,) = args["signatures"]
        for place in range(
            0, len(armored) - 100, 31
        ):  # the last line may have bits that mean nothing
            flipped = armored[:place] + chr(ord(armored[place]) ^ 1) + armored[place + 1 :]
            fault = refusal(board, op, {**args, "signatures": [flipped]})
            assert fault.code in (DIGEST_MISMATCH, UNTRUSTED), (place, str(fault))
