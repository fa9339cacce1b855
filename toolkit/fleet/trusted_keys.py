"""Whether enough of the keys that a board trusts have signed a release or an order."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from device_agent.contract.trust_root import TrustRoot, encode_root
from toolkit.bundle.signing import check_signature, find_signer


def trusted_keys(
    text: bytes, signatures: Sequence[bytes], namespace: str, root: TrustRoot
) -> dict[str, str]:
    """Return the keys of a trust root that have signed a text.

    Args:
        text: Bytes that were signed.
        signatures: Signatures in the armored form of SSHSIG.
        namespace: Purpose that the signatures must state.
        root: Trust root.

    Returns:
        Name of each signer by the fingerprint of the key.

    Raises:
        IntegrityError: A signature does not fit the text.
        SigningError: There is no fitting ssh-keygen.
    """
    names: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="kedge-") as folder:
        path = Path(folder) / "signers"
        path.write_text("\n".join(root.signers) + "\n", encoding="utf-8")
        for signature in signatures:
            key = check_signature(text, signature, namespace).fingerprint
            name = find_signer(text, signature, namespace, path)
            if name is not None:
                names[key] = name
    return names


class SignatureJudge:
    """Judges one signed text by the trust roots of boards; each root is judged once."""

    def __init__(self, what: str, text: bytes, signatures: Sequence[bytes], namespace: str) -> None:
        """Judge nothing yet.

        Args:
            what: Name of the text for messages, such as `the release`.
            text: Bytes that were signed.
            signatures: Signatures in the armored form of SSHSIG.
            namespace: Purpose that the signatures must state.
        """
        self._what = what
        self._text = text
        self._signatures = signatures
        self._namespace = namespace
        self._lock = threading.Lock()
        self._refusals: dict[bytes, str] = {}

    def refusal(self, root: TrustRoot) -> str:
        """Return why a board with a trust root would refuse the text; empty where it would not.

        Raises:
            IntegrityError: A signature does not fit the text.
            SigningError: There is no fitting ssh-keygen.
        """
        key = encode_root(root)
        with self._lock:
            if key not in self._refusals:
                names = trusted_keys(self._text, self._signatures, self._namespace, root)
                self._refusals[key] = self._refusal(root, names)
            return self._refusals[key]

    def _refusal(self, root: TrustRoot, names: dict[str, str]) -> str:
        if len(names) >= root.threshold:
            return ""
        present = f" ({', '.join(sorted(names.values()))})" if names else ""
        return (
            f"{self._what} lacks signatures: {root.threshold} of the {len(root.signers)} signers "
            f"of trust root {root.version} must sign, {len(names)} did{present}"
        )
