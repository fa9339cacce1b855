"""Whether a board may activate a release: counters first, then time. Pure decisions.

The clock of a board may be wrong. It can only forbid an activation. Where it is behind the newest
time at which a trusted record was signed, that time counts.
"""

from __future__ import annotations

from device_agent.contract.codes import (
    BELOW_FLOOR,
    EXPIRED,
    REPLAYED,
    UNFIT,
    UNTRUSTED,
    RefusalError,
)
from device_agent.contract.manifest import Manifest
from device_agent.contract.order import RELEASE, RolloutOrder
from device_agent.contract.signed_text import parse_time, time_text
from device_agent.contract.trust_root import TrustRoot
from device_agent.releases.floors import AppFloor, Floors


def require_order(
    order: RolloutOrder, digest: str, epoch: int, root: TrustRoot, app: AppFloor
) -> None:
    """Refuse an order of another fleet, and one that was superseded.

    Args:
        order: Order, whose signatures were checked.
        digest: Digest of the order.
        epoch: Epoch of the controller that has it carried out.
        root: Trust root of the board.
        app: Counters and floors of the application.

    Raises:
        RefusalError: The order is for another fleet, or an order with its counter or a higher one
            was activated.
    """
    if order.fleet != root.fleet:
        message = "the order is for the fleet {}, the board belongs to {}"
        raise RefusalError(UNTRUSTED, message.format(order.fleet, root.fleet))
    if app.fleet != order.fleet:
        return  # another fleet counts its orders anew
    is_repeated = digest == app.order and epoch >= app.order_epoch
    if order.counter <= app.order_counter and not is_repeated:
        message = "the board has carried out order {} of {}, this one has number {}"
        hint = "Sign a new order; a rollback is a new order, too."
        text = message.format(app.order_counter, order.app, order.counter)
        raise RefusalError(REPLAYED, text, hint)


def require_release(
    order: RolloutOrder, manifest: Manifest, variant: str, machine: str, app: AppFloor
) -> None:
    """Refuse a release that the board may not go to.

    Args:
        order: Order that names the release.
        manifest: Manifest, whose signatures were checked.
        variant: Name of the variant that is staged.
        machine: Architecture of the board, as `uname -m` prints it.
        app: Counters and floors of the application.

    Raises:
        RefusalError: It is of another application, too old, or for another architecture.
    """
    if manifest.app != order.app:
        message = "the order is for {}, the release is of {}"
        raise RefusalError(UNFIT, message.format(order.app, manifest.app))
    if manifest.counter < app.security_floor:
        message = "release {} of {} lies below the security floor {}"
        raise RefusalError(
            BELOW_FLOOR, message.format(manifest.counter, order.app, app.security_floor)
        )
    if order.kind == RELEASE and manifest.counter < app.release_counter:
        message = "the board has confirmed release {} of {}, this one is {}"
        hint = "Going back takes a rollback order: `kedge fleet rollback`."
        text = message.format(app.release_counter, order.app, manifest.counter)
        raise RefusalError(REPLAYED, text, hint)
    architectures = manifest.variant(variant).needs.architectures
    if architectures and machine not in architectures:
        message = "variant {} is for {}, the board is {}"
        raise RefusalError(UNFIT, message.format(variant, ", ".join(architectures), machine))


def require_time(order: RolloutOrder, manifest: Manifest, now_s: float, floors: Floors) -> float:
    """Refuse an order or a release that is not valid any more.

    Args:
        order: Order, whose signatures were checked.
        manifest: Manifest, whose signatures were checked.
        now_s: Clock of the board, in seconds since 1970.
        floors: Counters and floors of the board.

    Returns:
        Newest time at which a trusted record was signed, in seconds since 1970.

    Raises:
        RefusalError: The order or the release has expired, if the clock of the board is right.
    """
    newest_s = max(newest_time(manifest), parse_time(order.created, "created"), floors.newest_s)
    time_s = max(newest_s, now_s)
    ends = [("the order", order.not_after), ("the release", manifest.expires)]
    for what, end in ends:
        if end and time_s > parse_time(end, "end"):
            if newest_s > now_s:
                message = "{} was valid until {}, and the board has a record that was signed at {}"
                hint = (
                    "Sign a new one. Where the clock of the computer that signed that record was "
                    "ahead: remove kedge's files from the board, and enrol it anew."
                )
            else:
                message = "{} was valid until {}, the board has {}"
                hint = "Sign a new one; check the board's clock with `date` if its time is wrong."
            raise RefusalError(EXPIRED, message.format(what, end, time_text(time_s)), hint)
    return newest_s


def newest_time(manifest: Manifest) -> float:
    """Return the time at which a manifest was made, in seconds since 1970."""
    return parse_time(manifest.created, "created")
