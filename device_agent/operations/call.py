"""What an operation takes and gives back."""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple, Optional

from device_agent.contract.conditions import Conditions
from device_agent.job_fields import Job
from device_agent.operations.arguments import Arguments
from device_agent.store.receive import Read
from device_agent.store.store import Store

#: Sends an event to the host.
Emit = Callable[[Dict[str, Any]], None]

#: Runs a job: (job, timeout in seconds, event sink, what to do every tick) to its answer.
RunJob = Callable[[Job, float, Emit, Callable[[], None]], Dict[str, Any]]


class Answer(NamedTuple):
    """Answer to a request."""

    result: Dict[str, Any]
    body: Optional[str] = None
    """Path of the file whose bytes follow the result; `None` for no file."""


class BoardAccess(NamedTuple):
    """All of a board that an operation may touch."""

    store: Store
    run_job: RunJob
    read_facts: Callable[[], Dict[str, Any]]
    read_conditions: Callable[[], Conditions]
    agent_sha256: str
    """Digest of the agent's archive."""
    host_waits: Callable[[], bool] = lambda: False
    """Whether the host has sent another request while a job runs."""
    may_add_code: bool = True
    """Whether the host may bring programs and signers: not where its key runs nothing but this."""
    start_watcher: Callable[[str], None] = lambda _: None
    """Starts the process that reverts the trial of an application at its deadline."""


class AgentCall(NamedTuple):
    """One request on its way through the agent."""

    args: Arguments
    board: BoardAccess
    read: Read
    """Reads the raw bytes that a `put` announces."""
    emit: Emit
