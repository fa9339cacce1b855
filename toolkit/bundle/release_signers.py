"""Who signed a bundle, and whether enough of them are trusted; integrity is checked first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from device_agent.contract.manifest import RELEASE_NAMESPACE
from toolkit.bundle.bundle_file import (
    Bundle,
    blob_chunks,
    verify_bundle,
    write_bundle,
)
from toolkit.bundle.signers_file import read_signers
from toolkit.bundle.signing import check_signature, find_signer, sign
from toolkit.errors import ToolkitError


class UntrustedError(ToolkitError):
    """Signatures fit, but too few of them are by keys that are trusted."""

    exit_code = 8


@dataclass(frozen=True)
class ReleaseSigner:
    """The key of a signature that fits a bundle."""

    fingerprint: str
    """Fingerprint of the key, such as `SHA256:W0N/…`."""
    key_type: str
    """Type of the key, such as `ED25519`."""
    name: str = ""
    """Principal in the file of allowed signers; empty where the key is not in it."""


def identify_signers(bundle: Bundle, signers: Path | None = None) -> tuple[ReleaseSigner, ...]:
    """Return the keys that signed a bundle.

    Args:
        bundle: Bundle.
        signers: File of allowed signers that names them; `None` for no names.

    Returns:
        ReleaseSigner of each signature, in the order of the bundle; a key may stand there twice.

    Raises:
        IntegrityError: A signature does not fit the manifest.
        SignersError: The file of allowed signers is not right.
        SigningError: There is no fitting ssh-keygen.
    """
    if signers is not None:
        read_signers(signers)
    text, keys = bundle.manifest_text, []
    for signature in bundle.signatures:
        fits = check_signature(text, signature, RELEASE_NAMESPACE)
        name = None
        if signers is not None:
            name = find_signer(text, signature, RELEASE_NAMESPACE, signers)
        keys.append(ReleaseSigner(fits.fingerprint, fits.key_type, name or ""))
    return tuple(keys)


def require_trust(bundle: Bundle, signers: tuple[ReleaseSigner, ...], threshold: int) -> None:
    """Refuse a bundle that too few trusted keys have signed; a key counts once.

    Args:
        bundle: Bundle that was verified.
        signers: Signers with their names, as `identify_signers` gives them.
        threshold: Number of different keys.

    Raises:
        UntrustedError: Too few of them are trusted.
    """
    trusted = {signer.fingerprint for signer in signers if signer.name}
    if len(trusted) >= threshold:
        return
    others = sorted({signer.fingerprint for signer in signers if not signer.name})
    by_others = f"; not trusted are {', '.join(others)}" if others else ""
    raise UntrustedError(
        f"{bundle.path}: {len(trusted)} trusted keys have signed it, expected {threshold}"
        f"{by_others}",
        "Let a trusted person sign it: kedge bundle sign BUNDLE --sign KEY",
    )


def add_signature(
    bundle: Bundle, key: Path, sign_text: Callable[[bytes, Path, str], bytes] = sign
) -> tuple[Bundle, ReleaseSigner]:
    """Sign a bundle once more, and replace its file.

    Args:
        bundle: Bundle; all of it is verified first.
        key: Key as `toolkit.bundle.signing.sign` takes it.
        sign_text: Signs bytes with a key for a purpose; it may ask a person for a passphrase.

    Returns:
        The bundle, and the signer. A bundle that this key has signed already stays what it was.

    Raises:
        IntegrityError: The bundle differs from what was signed; nothing was written.
        BundleError: It has as many signatures as a bundle may have.
        SigningError: The key cannot sign.
    """
    verify_bundle(bundle)
    fingerprints = {signer.fingerprint for signer in identify_signers(bundle)}
    signature = sign_text(bundle.manifest_text, key, RELEASE_NAMESPACE)
    fits = check_signature(bundle.manifest_text, signature, RELEASE_NAMESPACE)
    signer = ReleaseSigner(fits.fingerprint, fits.key_type)
    if signer.fingerprint in fingerprints:
        return bundle, signer
    signed = write_bundle(
        bundle.path,
        bundle.manifest_text,
        (*bundle.signatures, signature),
        lambda sha256: blob_chunks(bundle, sha256),
    )
    return signed, signer
