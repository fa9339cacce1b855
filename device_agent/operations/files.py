"""Operations on files and on unzipped runtimes, all addressed by digest."""

from __future__ import annotations

import os

from device_agent.contract.codes import BAD_REQUEST, RefusalError
from device_agent.operations.call import AgentCall, Answer
from device_agent.operations.limits import require_code_allowed


def offset(call: AgentCall) -> Answer:
    """Report how much of a file is on the board, and its path when it is whole.

    `damaged` is there, and true, where a damaged file was found and removed in this session.
    """
    sha256, store = call.args.text("sha256"), call.board.store
    size = call.args.count("size")
    if store.blobs.has(sha256) and store.blobs.size(sha256) == size:
        return Answer({"offset": size, "path": store.blobs.path(sha256)})
    have, path = store.uploads.offset(sha256, size)
    more = {"damaged": True} if sha256 in store.scratch.damaged else {}
    return Answer(dict(more, offset=have, path=path))


def put(call: AgentCall) -> Answer:
    """Receive the bytes of a file from an offset to its end.

    Raises:
        RefusalError: The offset lies behind the end, or the store refuses the file.
    """
    size, start = call.args.count("size"), call.args.count("offset")
    if start > size:
        raise RefusalError(BAD_REQUEST, "offset {} lies behind the end {}".format(start, size))
    sha256 = call.args.text("sha256")
    call.board.store.uploads.receive(sha256, size, start, call.read)
    return Answer({"path": call.board.store.scratch.path(sha256)})


def get(call: AgentCall) -> Answer:
    """Send a file."""
    path = call.board.store.scratch.path(call.args.text("sha256"))
    return Answer({"size": os.path.getsize(path)}, body=path)


def drop(call: AgentCall) -> Answer:
    """Remove files."""
    return Answer({"dropped": call.board.store.scratch.drop(call.args.texts("sha256"))})


def patch(call: AgentCall) -> Answer:
    """Make a file out of a delta that has arrived, and a base that the board has.

    Raises:
        RefusalError: The delta leads to another file, or the base is not there.
    """
    from device_agent.store.patches import write_patched

    args, store = call.args, call.board.store
    sha256, size, base = args.digest("target"), args.count("size"), args.text("base")
    write_patched(store, args.text("algorithm"), args.digest("delta"), base, sha256, size)
    return Answer({"path": store.scratch.path(sha256)})


def has_tree(call: AgentCall) -> Answer:
    """Report whether an unzipped runtime is on the board, and whole.

    `damaged` is there, and true, where a changed one was found and removed in this session.
    """
    tree, trees = call.args.text("tree"), call.board.store.trees
    present = trees.has(tree)
    return Answer(dict({"damaged": True} if tree in trees.damaged else {}, present=present))


def unpack(call: AgentCall) -> Answer:
    """Unzip wheels into a runtime; remove the runtimes that are not to be kept.

    Raises:
        RefusalError: The key of the host may not bring programs, or the store refuses the wheels.
    """
    tree = call.args.text("tree")
    require_code_allowed(call, "a runtime")
    call.board.store.trees.unpack(tree, call.args.texts("wheels"))
    if "keep" in call.args:
        call.board.store.trees.remove_others([tree, *call.args.texts("keep")])
    return Answer({})
