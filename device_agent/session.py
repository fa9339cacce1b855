"""One conversation with a host: a request in, an answer out.

The session finds the operation of a request in `OPERATIONS`. Operations check their arguments
before they act; files, processes and the board itself are behind the objects of a `BoardAccess`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Dict

from device_agent.contract.codes import BAD_REQUEST, RefusalError
from device_agent.contract.wire import Request
from device_agent.operations.arguments import Arguments
from device_agent.operations.call import AgentCall, Answer, BoardAccess, Emit
from device_agent.store.receive import Read

#: Module below `device_agent.operations` by operation; its function has the operation's name. A
#: module is imported when its first operation runs, so that an agent starts at once.
OPERATIONS: Dict[str, str] = {
    "hello": "presence",
    "reserve": "presence",
    "offset": "files",
    "put": "files",
    "get": "files",
    "drop": "files",
    "has_tree": "files",
    "unpack": "files",
    "describe": "jobs",
    "profile": "jobs",
    "benchmark": "jobs",
    "streams": "jobs",
    "stop": "jobs",
    "infer": "jobs",
    "run": "jobs",
    "patch": "files",
    "releases": "releases",
    "missing": "releases",
    "stage": "releases",
    "activate": "releases",
    "health": "releases",
    "confirm": "releases",
    "revert": "releases",
    "collect": "releases",
    "release_log": "releases",
    "trust": "releases",
    "trust_root": "releases",
}


class AgentSession:
    """Dispatcher of the requests of one host."""

    def __init__(self, board: BoardAccess) -> None:
        self._board = board

    def handle(self, request: Request, read: Read, emit: Emit) -> Answer:
        """Answer one request.

        Args:
            request: Request of the host.
            read: Function that reads the raw bytes that a `put` announces.
            emit: Function that sends an event to the host.

        Raises:
            RefusalError: The request is refused; nothing was changed.
        """
        module = OPERATIONS.get(request.op)
        if module is None:
            raise RefusalError(BAD_REQUEST, "unknown operation {!r}".format(request.op[:100]))
        operation = getattr(import_module("device_agent.operations." + module), request.op)
        answer: Answer = operation(AgentCall(Arguments(request.args), self._board, read, emit))
        return answer
