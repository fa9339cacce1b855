"""Orders of rollouts: made, signed, and read again from a file or a journal."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from device_agent.contract.codes import IntegrityError
from device_agent.contract.order import (
    ORDER_NAMESPACE,
    RELEASE,
    RolloutOrder,
    encode_order,
    order_digest,
    parse_order,
)
from device_agent.contract.records import RecordError
from device_agent.contract.signed_text import time_text
from toolkit.bundle.signing import check_signature, sign
from toolkit.errors import ToolkitError


@dataclass(frozen=True)
class SignedOrder:
    """An order, and the signatures over it."""

    order: RolloutOrder
    """Order that was read from `text`."""
    text: bytes
    """Bytes that were signed."""
    digest: str
    """SHA-256 that names the order."""
    signatures: tuple[bytes, ...]
    """Signatures in the armored form of SSHSIG; at least one."""


class OrderError(ToolkitError):
    """An order cannot be made: a name or a number has a form that no board accepts."""


def new_order(
    app: str,
    fleet: str,
    manifest: str,
    counter: int,
    operator: str,
    valid_s: float,
    kind: str = RELEASE,
) -> RolloutOrder:
    """Make an order that is valid from now on.

    Args:
        app: Name of the application.
        fleet: Name of the fleet, as the trust root of its boards says it.
        manifest: SHA-256 of the manifest of the release.
        counter: Number of the order, higher than that of every earlier one of fleet and app.
        operator: Person who gives the order, for the audit.
        valid_s: Seconds from now on in which boards may begin to activate.
        kind: `RELEASE` or `ROLLBACK` of `device_agent.contract.order`.

    Raises:
        OrderError: A board would not accept it.
    """
    now = time.time()
    order = RolloutOrder(
        app=app,
        fleet=fleet,
        counter=counter,
        kind=kind,
        manifest=manifest,
        created=time_text(now),
        not_after=time_text(now + valid_s),
        operator=operator,
    )
    try:
        return parse_order(encode_order(order))
    except RecordError as error:
        raise OrderError(f"the order cannot be given: {error}") from error


def sign_order(order: RolloutOrder, keys: tuple[Path, ...]) -> SignedOrder:
    """Sign an order with one key or several.

    Args:
        order: Order of `new_order`.
        keys: Keys as `toolkit.bundle.signing.sign` takes them; at least one.

    Raises:
        SigningError: A key cannot sign; the order is not signed.
    """
    text = encode_order(order)
    signatures = tuple(sign(text, key, ORDER_NAMESPACE) for key in keys)
    return SignedOrder(order, text, order_digest(text), signatures)


def read_signed_order(text: bytes, signatures: tuple[bytes, ...]) -> SignedOrder:
    """Read an order again, and check that every signature fits it.

    Args:
        text: Bytes that were signed.
        signatures: Signatures in the armored form of SSHSIG.

    Raises:
        IntegrityError: The order or a signature was changed.
    """
    try:
        order = parse_order(text)
    except RecordError as error:
        raise IntegrityError(f"an order is damaged: {error}", "Give the order again.") from error
    for signature in signatures:
        check_signature(text, signature, ORDER_NAMESPACE)
    return SignedOrder(order, text, order_digest(text), signatures)
