"""The order of a rollout: the signed permission that boards activate one release.

A rollback is a new order with a higher counter that names an older release. So an old order cannot
be replayed, and operators can always go back.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

from device_agent.contract.names import require_app, require_sha256
from device_agent.contract.records import RecordError
from device_agent.contract.signed_text import canonical, parse_signed, parse_time

SCHEMA = 1

#: Namespace of the signatures over orders (`ssh-keygen -Y sign -n`).
ORDER_NAMESPACE = "kedge-order"

RELEASE, ROLLBACK = "release", "rollback"


@dataclass(frozen=True)
class RolloutOrder:
    """A signed order."""

    app: str
    """Name of the application."""
    fleet: str
    """Name of the fleet, as the boards' trust root says it."""
    counter: int
    """Number of the order within fleet and application; each newer order has a higher one."""
    kind: str
    """`release`, or `rollback` to an older release."""
    manifest: str
    """SHA-256 of the manifest of the release."""
    created: str
    """UTC, ISO 8601."""
    not_after: str
    """UTC, ISO 8601, after which no board begins to activate."""
    operator: str
    """Person who gave the order, for the audit."""
    schema: int = SCHEMA


def encode_order(order: RolloutOrder) -> bytes:
    """Return the bytes that are signed."""
    return canonical(asdict(order))


def order_digest(text: bytes) -> str:
    """Return the SHA-256 that names an order."""
    return hashlib.sha256(text).hexdigest()


def parse_order(text: bytes) -> RolloutOrder:
    """Read and check an order, whoever wrote it.

    Raises:
        RecordError: It is damaged, of a newer kedge, or has a value that it must not have.
    """
    order: RolloutOrder = parse_signed(RolloutOrder, text, "the order", SCHEMA)
    require_app(order.app)
    require_app(order.fleet)
    require_sha256(order.manifest, "manifest")
    parse_time(order.created, "created")
    parse_time(order.not_after, "not_after")
    if order.kind not in (RELEASE, ROLLBACK) or order.counter < 1:
        message = "expected an order of kind release or rollback and a counter >= 1, found {!r}, {}"
        raise RecordError(message.format(order.kind[:40], order.counter))
    return order
