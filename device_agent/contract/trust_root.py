"""The trust root of a board: whose signatures it accepts, and how many of them.

A root with version N + 1 is accepted where a threshold of root N and a threshold of root N + 1 have
signed it: the rule of The Update Framework, specification 1.0, section 5.3.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import List

from device_agent.contract.names import require_app
from device_agent.contract.records import RecordError
from device_agent.contract.signed_text import canonical, parse_signed

SCHEMA = 1

#: Namespace of the signatures over trust roots (`ssh-keygen -Y sign -n`).
ROOT_NAMESPACE = "kedge-root"

MOST_SIGNERS = 100


@dataclass(frozen=True)
class TrustRoot:
    """Signers of a fleet."""

    fleet: str
    """Name of the fleet; orders for another one are refused."""
    version: int
    """Number of this root; grows by 1 with each change."""
    threshold: int
    """Number of different keys that must have signed."""
    signers: List[str]
    """Lines of an OpenSSH `allowed_signers` file, with at most one key each."""
    schema: int = SCHEMA


def encode_root(root: TrustRoot) -> bytes:
    """Return the bytes that are signed."""
    return canonical(asdict(root))


def parse_root(text: bytes) -> TrustRoot:
    """Read and check a trust root, whoever wrote it.

    Raises:
        RecordError: It is damaged, of a newer kedge, or no set of signers can reach its threshold.
    """
    root: TrustRoot = parse_signed(TrustRoot, text, "the trust root", SCHEMA)
    require_app(root.fleet)
    if not 1 <= len(root.signers) <= MOST_SIGNERS or len(set(root.signers)) != len(root.signers):
        raise RecordError("expected 1 to {} different signers".format(MOST_SIGNERS))
    if any("\n" in line or "\r" in line or not line.strip() for line in root.signers):
        raise RecordError("a signer is not one line of an allowed_signers file")
    if root.version < 1 or not 1 <= root.threshold <= len(root.signers):
        message = "expected version >= 1 and a threshold from 1 to {}, found {} and {}"
        raise RecordError(message.format(len(root.signers), root.version, root.threshold))
    return root
