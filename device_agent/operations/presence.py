"""Operations on the board as a whole: what it is, and who has it."""

from __future__ import annotations

from device_agent.operations.call import AgentCall, Answer


def hello(call: AgentCall) -> Answer:
    """Report the digest of this agent and, unless the host has no use for them, the board's facts.

    Raises:
        RefusalError: Others than this user may change the root folder.
    """
    call.board.store.require_safe()
    own = {"agent_sha256": call.board.agent_sha256}
    if not call.args.with_defaults({"facts": True}).truth("facts"):
        return Answer(own)
    from device_agent.board.boot import boot_id  # only for a host that asks for facts

    own["boot_id"] = boot_id()
    return Answer(dict(call.board.read_facts(), **own))


def reserve(call: AgentCall) -> Answer:
    """Take the board for this host until the session ends.

    Raises:
        RefusalError: Another host still has it after `timeout_s`.
    """
    store = call.board.store
    is_first = not store.reservation.is_held
    store.reservation.take(
        call.args.text("who"),
        call.args.seconds("timeout_s"),
        lambda other: call.emit({"phase": "wait for {}".format(other)}),
    )
    if is_first:
        store.remove_left_data()
    return Answer({})
