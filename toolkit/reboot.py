"""Finds out why a board was lost during its work: it restarted, or only the link failed."""

from __future__ import annotations

import time

from targets.errors import TargetError
from targets.inventory import Target
from targets.progress import OnProgress
from targets.provision import open_device
from targets.transport import SilentLinkError

#: A small board with a slow card is back within this time, or it is not coming by itself.
BACK_WITHIN_S = 90.0
_RETRY_S = 3.0


class BoardRebootedError(TargetError):
    """The board restarted while it worked."""


def explain_loss(
    target: Target, boot_id: str, error: TargetError, on_progress: OnProgress
) -> TargetError:
    """Wait for a lost board, and say why it was lost.

    After a silence of a minute nobody waits any longer.

    Args:
        target: Board.
        boot_id: Boot id of the board when the work began.
        error: Error that ended the work.
        on_progress: Called while it waits.

    Returns:
        `BoardRebootedError` when it has another boot id now, else `error`.
    """
    if isinstance(error, SilentLinkError):
        return error
    seconds = f"{BACK_WITHIN_S:.0f} s"
    on_progress(f"{target.name} is lost: wait up to {seconds} for it to come back", 0, 0)
    end = time.monotonic() + BACK_WITHIN_S
    while True:
        try:
            with open_device(target) as device:
                now = device.facts.boot_id
            break
        except TargetError:
            if time.monotonic() + _RETRY_S > end:
                return error
            time.sleep(_RETRY_S)
    if not boot_id or not now or now == boot_id:
        return error
    return BoardRebootedError(
        f"{target.name} restarted while it was measured (its boot id changed)",
        "A weak power supply, heat, a watchdog or a crash of its kernel do that: look into its "
        "log, then measure again.",
    )
