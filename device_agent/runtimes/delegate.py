"""Loads a delegate into the runtime, and finds out why where it does not load."""

from __future__ import annotations

import glob
import grp
import os
import time
from typing import Any, Callable, Dict, List

from device_agent.board.accelerators import EDGETPU_USB, find_accelerators
from device_agent.board.pseudo_files import text_of
from device_agent.board.system import read_system
from device_agent.contract.codes import DELEGATE, RefusalError
from device_agent.runtimes.delegate_faults import DelegateFailure, explain

EDGETPU = "edgetpu"

#: The delegates that have a name; every other is named by the path of its library.
LIBRARIES = {EDGETPU: "libedgetpu.so.1"}

#: The operator that the Edge TPU's compiler leaves in a model.
_EDGETPU_OP = b"edgetpu-custom-op"

#: A USB Edge TPU leaves the bus to come back with its firmware (edgetpu issue 536).
_FIRMWARE_WITHIN_S = 5.0
_FIRMWARE_POLL_S = 0.1

Load = Callable[[str], Any]


def load_delegate(load: Load, name: str, runtime: str, root: str = "/") -> Any:
    """Load a delegate; once more when an Edge TPU on USB was given its firmware meanwhile.

    Args:
        load: The runtime's own function.
        name: A key of `LIBRARIES`, or the path of a library on the board.
        runtime: Name and version of the runtime, for the message.
        root: Folder that holds `dev/`, `proc/` and `sys/`.

    Raises:
        RefusalError: It does not load; says why and what to do.
    """
    library = LIBRARIES.get(name, name)
    waiting = name == EDGETPU and _awaits_firmware(root)
    try:
        return load(library)
    except (ValueError, OSError, AttributeError, RuntimeError) as error:
        fault: Exception = error
    if waiting and _firmware_arrives(root):
        try:
            return load(library)
        except (ValueError, OSError, AttributeError, RuntimeError) as error:
            fault = error
    message, hint = explain(_look(name, library, runtime, fault, root))
    raise RefusalError(DELEGATE, message, hint) from fault


def is_compiled_for_edgetpu(model: str) -> bool:
    """Whether a model's file holds the operator of the Edge TPU."""
    with open(model, "rb") as file:
        return _EDGETPU_OP in file.read()


def _look(name: str, library: str, runtime: str, fault: Exception, root: str) -> DelegateFailure:
    system = read_system(root)
    nodes = _nodes(root)
    text = str(fault)
    # What the runtime wraps around the delegate's own words.
    said = text.split("\n", 1)[1] if text.startswith("Failed to load delegate") else text
    return DelegateFailure(
        delegate=name,
        library=library,
        error=type(fault).__name__,
        said=said.strip(),
        runtime=runtime,
        accelerators=find_accelerators(root),
        user=system["user"],
        groups=system["groups"],
        node_group=_group_of(nodes[0]) if nodes else "",
        holder=_holder(nodes, root),
    )


def _awaits_firmware(root: str) -> bool:
    accelerators: List[Dict[str, Any]] = find_accelerators(root)
    return any(entry.get("state") == "before its first use" for entry in accelerators)


def _firmware_arrives(root: str) -> bool:
    end = time.monotonic() + _FIRMWARE_WITHIN_S
    while time.monotonic() < end:
        states = [(entry["kind"], entry.get("state")) for entry in find_accelerators(root)]
        if (EDGETPU_USB, "ready") in states:
            return True
        time.sleep(_FIRMWARE_POLL_S)
    return False


def _nodes(root: str) -> List[str]:
    """The device nodes of the board's Edge TPUs."""
    nodes = [entry.get("node", "") for entry in find_accelerators(root)]
    return [os.path.join(root, node.lstrip("/")) for node in nodes if node]


def _group_of(node: str) -> str:
    try:
        return grp.getgrgid(os.stat(node).st_gid).gr_name
    except (OSError, KeyError):
        return ""


def _holder(nodes: List[str], root: str) -> str:
    """A process that has one of the nodes open, of those that this user may look into."""
    own = str(os.getpid())
    for link in glob.glob(os.path.join(root, "proc/[0-9]*/fd/*")):
        try:
            held = os.readlink(link) in nodes
        except OSError:
            continue
        process = os.path.dirname(os.path.dirname(link))
        if held and os.path.basename(process) != own:
            name = text_of(process, "comm") or "a process"
            return "{} (process {})".format(name, os.path.basename(process))
    return ""
