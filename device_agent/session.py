"""One conversation with a host: a request in, an answer out.

The session finds the operation of a request in `OPERATIONS`. Operations check their arguments
before they act; files, processes and the board itself are behind the objects of a `BoardAccess`.
"""

from __future__ import annotations

from typing import Callable, Dict

from device_agent.contract.codes import BAD_REQUEST, RefusalError
from device_agent.contract.wire import Request
from device_agent.operations import files, jobs, presence
from device_agent.operations.arguments import Arguments
from device_agent.operations.call import AgentCall, Answer, BoardAccess, Emit
from device_agent.store.receive import Read

OPERATIONS: Dict[str, Callable[[AgentCall], Answer]] = {
    "hello": presence.hello,
    "reserve": presence.reserve,
    "offset": files.offset,
    "put": files.put,
    "get": files.get,
    "drop": files.drop,
    "has_tree": files.has_tree,
    "unpack": files.unpack,
    "describe": jobs.describe,
    "profile": jobs.profile,
    "benchmark": jobs.benchmark,
    "streams": jobs.streams,
    "stop": jobs.stop,
    "infer": jobs.infer,
    "run": jobs.run,
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
        operation = OPERATIONS.get(request.op)
        if operation is None:
            raise RefusalError(BAD_REQUEST, "unknown operation {!r}".format(request.op[:100]))
        return operation(AgentCall(Arguments(request.args), self._board, read, emit))
