"""Signatures of a release: a changed one fits nothing, and only different trusted keys count."""

from dataclasses import replace
from pathlib import Path

import pytest

from device_agent.contract.codes import IntegrityError
from device_agent.contract.manifest import RELEASE_NAMESPACE
from device_agent.contract.order import ORDER_NAMESPACE
from device_agent.contract.trust_root import MOST_SIGNERS
from tests.toolkit.bundle.small_bundle import chunks_of_small, make_key, write_small
from toolkit.bundle.bundle_file import Bundle, BundleError, read_bundle, write_bundle
from toolkit.bundle.release_signers import (
    UntrustedError,
    add_signature,
    identify_signers,
    require_trust,
)
from toolkit.bundle.signers_file import SignersError
from toolkit.bundle.signing import sign


@pytest.fixture
def ann(tmp_path: Path) -> Path:
    return make_key(tmp_path / "ann")


@pytest.fixture
def bundle(tmp_path: Path, ann: Path) -> Bundle:
    return write_small(tmp_path / "cats.bundle", ann)


def allow(path: Path, *keys: Path) -> Path:
    lines = [f"{key.name}@x {Path(f'{key}.pub').read_text()}" for key in keys]
    path.write_text("".join(lines))
    return path


def with_signatures(bundle: Bundle, *signatures: bytes) -> Bundle:
    return write_bundle(bundle.path, bundle.manifest_text, signatures, chunks_of_small)


def test_a_changed_signature_fits_nothing(bundle: Bundle) -> None:
    (signature,) = bundle.signatures
    start = signature.index(b"\n") + 1
    for position in range(start, signature.rindex(b"\n-----END"), 3):
        changed = bytearray(signature)
        changed[position] = ord("A") if changed[position] != ord("A") else ord("B")
        with pytest.raises(IntegrityError):
            identify_signers(replace(bundle, signatures=(bytes(changed),)))


def test_a_changed_manifest_has_no_signature(bundle: Bundle) -> None:
    for position in range(0, len(bundle.manifest_text), 9):
        changed = bytearray(bundle.manifest_text)
        changed[position] ^= 1
        with pytest.raises(IntegrityError):
            identify_signers(replace(bundle, manifest_text=bytes(changed)))


def test_a_signature_for_another_purpose_is_none(bundle: Bundle, ann: Path) -> None:
    for_orders = sign(bundle.manifest_text, ann, ORDER_NAMESPACE)
    with pytest.raises(IntegrityError, match="does not fit"):
        identify_signers(with_signatures(bundle, for_orders))


def test_one_key_counts_once_however_often_it_signed(
    bundle: Bundle, ann: Path, tmp_path: Path
) -> None:
    again = with_signatures(bundle, *bundle.signatures, *bundle.signatures)
    signers = identify_signers(again, allow(tmp_path / "signers", ann))
    assert [signer.name for signer in signers] == ["ann@x", "ann@x"]
    require_trust(again, signers, 1)
    with pytest.raises(UntrustedError, match="1 trusted keys"):
        require_trust(again, signers, 2)
    _, signer = add_signature(again, ann)
    assert signer.fingerprint == signers[0].fingerprint
    assert len(read_bundle(again.path).signatures) == 2


def test_a_key_that_the_file_does_not_name_is_no_trusted_one(
    bundle: Bundle, tmp_path: Path
) -> None:
    bob = make_key(tmp_path / "bob")
    signers = identify_signers(bundle, allow(tmp_path / "signers", bob))
    with pytest.raises(UntrustedError) as refusal:
        require_trust(bundle, signers, 1)
    assert signers[0].fingerprint in str(refusal.value)
    assert refusal.value.exit_code == 8


def test_a_key_that_is_not_valid_any_more_is_not_trusted(
    bundle: Bundle, ann: Path, tmp_path: Path
) -> None:
    key = Path(f"{ann}.pub").read_text()
    (tmp_path / "signers").write_text(f'ann@x valid-before="20200101" {key}')
    assert [signer.name for signer in identify_signers(bundle, tmp_path / "signers")] == [""]


def test_a_file_of_signers_that_is_none_is_named(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "signers").write_text("ann@x ssh-ed25519 AAAA\n")
    with pytest.raises(SignersError, match="line 1"):
        identify_signers(bundle, tmp_path / "signers")


def test_a_bundle_takes_no_more_signatures_than_its_readers(bundle: Bundle, tmp_path: Path) -> None:
    full = with_signatures(bundle, *bundle.signatures * MOST_SIGNERS)
    assert len(full.signatures) == MOST_SIGNERS
    with pytest.raises(BundleError, match="expected at most"):
        add_signature(full, make_key(tmp_path / "bob"))
    assert read_bundle(full.path) == full


def test_a_damaged_bundle_is_not_signed(bundle: Bundle, ann: Path) -> None:
    content = bytearray(bundle.path.read_bytes())
    content[next(iter(bundle.entries.values())).content_offset] ^= 1
    bundle.path.write_bytes(content)
    with pytest.raises(IntegrityError, match="digest"):
        add_signature(bundle, ann)
    assert bundle.path.read_bytes() == content
    assert RELEASE_NAMESPACE == "kedge-release"  # part of the published form: never changed
