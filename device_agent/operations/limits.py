"""What a host may not do whose key runs nothing but this agent, restricted."""

from __future__ import annotations

import os

from device_agent.contract.codes import FORBIDDEN, RefusalError
from device_agent.operations.call import AgentCall

_HINT = "Use a key without `restricted` in authorized_keys on the board; docs/fleet.md says how."


def require_code_allowed(call: AgentCall, what: str) -> None:
    """Refuse what would let a stolen key run programs of its own.

    Args:
        call: Request of the host.
        what: Name of what the host brings, for the message.

    Raises:
        RefusalError: The key of the host is restricted.
    """
    if not call.board.may_add_code:
        message = "the key of this host may not bring {} to the board".format(what)
        raise RefusalError(FORBIDDEN, message, _HINT)


def require_own_delegate(call: AgentCall, delegate: str) -> None:
    """Refuse a library that was sent to the board, or that everybody can put there.

    Args:
        call: Request of the host.
        delegate: Name of a delegate, or path of a library.

    Raises:
        RefusalError: The key of the host is restricted, and others than root may have put the
            library there.
    """
    if "/" not in delegate or call.board.may_add_code:
        return
    path = os.path.realpath(delegate)
    while path != "/":
        try:
            is_of_root = os.lstat(path).st_uid == 0 and not os.stat(path).st_mode & 0o022
        except OSError:
            is_of_root = False
        if not is_of_root:
            require_code_allowed(call, "the library {}".format(delegate[:200]))
        path = os.path.dirname(path)
