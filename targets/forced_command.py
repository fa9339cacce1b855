"""Keys that run nothing but the agent on the board: `command="…"` in its authorized_keys.

Such a key cannot run the probe, nor bring another agent. What answers the probe's script is the
agent itself, which refuses each line of it.
"""

from __future__ import annotations

from device_agent.contract.codes import BAD_REQUEST
from device_agent.contract.wire import Fault, WireError, parse_reply
from targets.errors import TargetError

#: Lines of a chatty login that may come before the first answer.
_MOST_LINES = 200


class ForcedCommandError(TargetError):
    """The key of the target runs nothing but the agent that is on the board."""

    exit_code = 7


def require_commands(output: bytes) -> None:
    """Refuse a board whose answer to a script shows that the key runs only the agent.

    Args:
        output: Standard output of the script.

    Raises:
        ForcedCommandError: The agent answered; it can be started, and nothing else.
    """
    for line in output.splitlines()[:_MOST_LINES]:
        try:
            answer = parse_reply(line)
        except WireError:
            continue
        if isinstance(answer, Fault) and answer.code == BAD_REQUEST:
            raise ForcedCommandError(
                "the key of this target runs nothing but kedge's agent on the board",
                "Use a key that may run commands for this; docs/fleet.md says what each key can.",
            )


def refuse_other_agent(name: str, agent: str, own_agent: str) -> ForcedCommandError:
    """Return the error for an agent of another kedge, which this key cannot exchange.

    Args:
        name: Name of the target.
        agent: Digest of the agent on the board.
        own_agent: Digest of the agent of this kedge.
    """
    return ForcedCommandError(
        f"the key of {name} runs the agent {agent[:12]} of another kedge, "
        f"expected {own_agent[:12]}",
        f"Bring this agent there with a key that may run commands: kedge target check {name}",
    )
