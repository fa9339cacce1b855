"""Why a delegate did not come: from what was seen on the board to a sentence and what to do.

A runtime only says `Failed to load delegate`, for a delegate that finds no device not even that.
Pure: `device_agent.runtimes.delegate` reads what is judged here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

#: Complaint of dlopen about a missing library, or a missing one that it needs.
_MISSING = re.compile(r"([^\s:]+): cannot open shared object file: No such file")

#: Official libedgetpu is of 2021, and what a runtime hands to it changed since; third-party builds
#: are matched to one TFLite version each (edgetpu issues 707 and 712).
_PAIRS = (
    "libedgetpu and the runtime must fit: libedgetpu 16.0 goes with TFLite up to 2.9.1, later "
    "builds name their TFLite. Choose the board's own runtime with `runtime` in kedge.toml."
)

Explained = Tuple[str, str]
"""Fault, and what to do."""


@dataclass(frozen=True)
class DelegateFailure:
    """Observations on the board when a delegate did not load."""

    delegate: str
    """Name in the inventory: `edgetpu`, or the path of a library."""
    library: str
    error: str
    """The type of what the runtime raised."""
    said: str
    """Its text; often empty."""
    runtime: str
    accelerators: List[Dict[str, Any]] = field(default_factory=list)
    """Records of `find_accelerators`."""
    user: str = ""
    groups: List[str] = field(default_factory=list)
    node_group: str = ""
    """The group that may open the Edge TPU's device node; empty where it is not known."""
    holder: str = ""
    """A process that has the device open."""


def explain(failure: DelegateFailure) -> Explained:
    """Say why a delegate did not load."""
    found = _library_fault(failure)
    if found is None and failure.delegate == "edgetpu":
        found = _edgetpu_fault(failure)
    if found is None:
        said = failure.said.strip() or "it gave no reason"
        found = ("it created no delegate: " + said, "Does its device work on this board?")
    return "the delegate {} does not load: {}".format(failure.library, found[0]), found[1]


def _library_fault(failure: DelegateFailure) -> Any:
    missing = _MISSING.search(failure.said)
    if missing and missing.group(1) == failure.library:
        return "there is no such library on the board", _install(failure)
    if missing:
        return (
            "it needs {}, which is not on the board".format(missing.group(1)),
            "Install the package that has {}.".format(missing.group(1)),
        )
    if "wrong ELF class" in failure.said or "cannot open shared object" in failure.said:
        return (
            "it was built for another architecture: " + failure.said,
            "Install the library for the architecture of the board's Python.",
        )
    if any(words in failure.said for words in ("invalid ELF header", "file too short")):
        return "it is not a shared library", "Name the delegate's .so as `delegate` in kedge.toml."
    lacking = re.search(r"version `(\w+_[\d.]+)' not found", failure.said)
    if lacking:
        return (
            "it needs {}, which the board does not have".format(lacking.group(1)),
            "Install a build of the library for the board's operating system.",
        )
    if failure.error == "AttributeError" or "undefined symbol: tflite_plugin" in failure.said:
        return (
            "it is not a TFLite delegate: it lacks tflite_plugin_create_delegate "
            "or its counterpart",
            "Name the library that exports them as `delegate` in kedge.toml.",
        )
    symbol = re.search(r"undefined symbol: (\S+)", failure.said)
    if symbol:
        return "it needs the symbol {}, which nothing has".format(symbol.group(1)), _pair(failure)
    return None


def _pair(failure: DelegateFailure) -> str:
    if failure.delegate == "edgetpu":
        return _PAIRS
    return "The library was built for another runtime: choose it with `runtime` in kedge.toml."


def _install(failure: DelegateFailure) -> str:
    if failure.delegate == "edgetpu":
        return "Install libedgetpu on the board: sudo apt-get install libedgetpu1-std"
    return "Name the path of the library on the board as `delegate` in kedge.toml."


def _edgetpu_fault(failure: DelegateFailure) -> Explained:
    tpus = [entry for entry in failure.accelerators if entry["kind"].startswith("edgetpu")]
    if not tpus:
        return (
            "no Edge TPU is there, neither on USB (1a6e:089a, 18d1:9302) nor on PCIe (1ac1:089a)",
            "Plug it in: `lsusb` or `lspci` shows it. Give a virtual machine both USB ids.",
        )
    tpu = next((entry for entry in tpus if entry["usable"]), tpus[0])
    if tpu["state"] in ("no driver", "no device node"):
        return (
            "the Edge TPU is on PCIe, but has no /dev/apex_0 ({})".format(tpu["state"]),
            "Install gasket-dkms built for this kernel, then: sudo modprobe apex",
        )
    if not tpu["usable"]:
        group = failure.node_group or ("apex" if tpu["kind"] == "edgetpu-pcie" else "plugdev")
        return (
            "{} may not open the Edge TPU at {}".format(failure.user, tpu["path"])
            + ("" if group in failure.groups else ": not in the group {}".format(group)),
            "On the board: sudo usermod -aG {} {}, then log in again; libedgetpu1-std brings the "
            "udev rule.".format(group, failure.user),
        )
    if failure.holder:
        return (
            "the Edge TPU is in use by {}".format(failure.holder),
            "Only one process can have it: end the other first.",
        )
    if tpu["state"] == "before its first use":
        return (
            "the Edge TPU on USB did not take its firmware (it still shows 1a6e:089a)",
            "Plug it in again, into a port that gives 900 mA; a virtual machine must also be given "
            "18d1:9302.",
        )
    said = " It says: {}.".format(failure.said.strip()) if failure.said.strip() else ""
    return "its device is there and free, yet it refuses with {}.{}".format(
        failure.runtime, said
    ), _PAIRS
