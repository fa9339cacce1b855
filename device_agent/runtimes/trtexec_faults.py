"""What the complaints of `trtexec` mean, and what to do. Pure.

The texts are those of TensorRT 8 to 11, its parser of ONNX, and the sample code of `trtexec`.
"""

from __future__ import annotations

import re
from typing import List, NamedTuple, Tuple

from device_agent.contract.codes import CHILD_DIED, DELEGATE, MODEL_REFUSED, RUNTIME_IMPORT

#: Engines of another version or GPU: they are built anew.
_STALE = re.compile(
    r"engine plan file is not compatible|[Vv]ersion tag does not match|stdVersionRead =="
    r"|generated on an incompatible device|[Ss]erialization (?:assertion|\(Serialization assertion)"
    r"|Magic tag does not match|[Ee]ngine deserialization failed"
)

_TOO_OLD = (
    "kedge knows the options of TensorRT 8 to 11. Update JetPack on the board, or run the file on "
    "ONNX Runtime: leave out `runtime` of this target in kedge.toml."
)
_OTHER_OPS = (
    "Build the model without it, or run the file on ONNX Runtime: leave out `runtime` of this "
    "target in kedge.toml."
)


class Complaint(NamedTuple):
    """Meaning of what `trtexec` wrote before it gave up."""

    code: str
    """One of `device_agent.contract.codes`."""
    meaning: str
    """Clause that says what happened; empty where the words speak for themselves."""
    hint: str
    """Next step, a sentence; may be empty."""


_COMPLAINTS = (
    (
        re.compile(r"error while loading shared libraries: ([^\s:]{1,80})"),
        RUNTIME_IMPORT,
        "its library {0} is not on the board",
        "Install TensorRT as a whole on the board: sudo apt-get install tensorrt.",
    ),
    (
        re.compile(r"Could not (?:load|open)[^\n]{0,40}?library ([^\s:]{1,200})"),
        RUNTIME_IMPORT,
        "its library {0} does not load",
        "Install TensorRT as a whole on the board: sudo apt-get install tensorrt.",
    ),
    (
        re.compile(r"Unknown option: (-{0,2}\w{1,40})"),
        RUNTIME_IMPORT,
        "this release has no option {0}",
        _TOO_OLD,
    ),
    (
        re.compile(
            r"[Oo]ut ?[Oo]f ?[Mm]emory|cudaErrorMemoryAllocation|Cuda failure: 2\b"
            r"|[Ii]nsufficient (?:GPU )?memory|Requested amount of (?:GPU )?memory"
        ),
        CHILD_DIED,
        "the GPU has too little memory",
        "End what else uses the GPU; on a Jetson, whose GPU shares the memory of the board, also "
        "the desktop (sudo systemctl isolate multi-user.target). Or use a smaller model.",
    ),
    (
        re.compile(
            r"No importer registered for op: (\w[\w.:]{0,80}\w|\w)"
            r"|could not find plugin[:,]? ?(?:creator )?'?([\w.:]{1,80})"
            r"|Plugin not found[^\n]{0,200}?([A-Z]\w{1,80})"
        ),
        MODEL_REFUSED,
        "it has no operator {0}, and no plugin for it",
        _OTHER_OPS,
    ),
    (
        re.compile(r"([Zz]ero[ _-]?point|only supports symmetric)"),
        MODEL_REFUSED,
        "it takes zero points of 0 only",
        "Convert the model with --format tensorrt.",
    ),
    (
        re.compile(r"Could not find any implementation for node ([^\n]{1,120}?)(?:\.? \[|\.?\n|$)"),
        MODEL_REFUSED,
        "it has no kernel for the node {0}",
        _OTHER_OPS,
    ),
    (
        re.compile(r"[Pp]arsing node number \d+ \[([^\]\n]{1,120})\]"),
        MODEL_REFUSED,
        "it does not take the node {0}",
        _OTHER_OPS,
    ),
    (
        re.compile(r"[Ff]ailed to parse (?:the )?(?:onnx|ONNX)|Parse was called with a non-ONNX"),
        MODEL_REFUSED,
        "it cannot read the file",
        "Write the file again.",
    ),
    (
        re.compile(
            r"(no CUDA-capable device|CUDA driver version is insufficient"
            r"|CUDA initialization failure with error: \d+|Cuda failure: \d+"
            r"|CUDA error \d+)"
        ),
        DELEGATE,
        "the GPU does not answer ({0})",
        "May the user open it (sudo usermod -aG video,render USER, then log in again)? Does its "
        "driver fit the CUDA of the board?",
    ),
    (
        _STALE,
        CHILD_DIED,
        "the engine was built for another TensorRT or GPU",
        "Run the command again: the engine is built anew.",
    ),
)

#: Lines of a complaint that are passed on.
_MOST_LINES = 6
_MOST_SAID = 1500


def explain_trtexec(text: str) -> Complaint:
    """Say what the output of a `trtexec` that failed means.

    Args:
        text: Its output, or the last part of it.
    """
    for pattern, code, meaning, hint in _COMPLAINTS:
        match = pattern.search(text)
        if match:
            names = [name for name in match.groups() if name] or [""]
            return Complaint(code, meaning.format(*names), hint)
    return Complaint(CHILD_DIED, "", "")


def is_stale(text: str) -> bool:
    """Whether `trtexec` refused an engine that was built for another TensorRT or GPU."""
    return bool(_STALE.search(text))


def last_errors(text: str) -> str:
    """Return the lines of an output that tell an error, or its last lines.

    Signs that control a terminal are left out.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "[E]" in line or "error" in line.lower()] or lines
    said = "\n".join(errors[-_MOST_LINES:])[-_MOST_SAID:]
    return "".join(sign for sign in said if sign == "\n" or sign.isprintable())


#: The number in `[TensorRT v8502]`: up to release 9 thousands of the major version, from 10 on ten
#: thousands.
_BANNER = re.compile(r"\[TensorRT v(\d{4,7})\]")


def banner_version(text: str) -> Tuple[int, ...]:
    """Return the version in the first line of `trtexec`, such as (8, 5, 2); empty for none."""
    match = _BANNER.search(text)
    if not match:
        return ()
    number = int(match.group(1))
    unit = 10_000 if number >= 100_000 else 1_000
    parts: List[int] = [number // unit, number % unit // 100, number % 100]
    return tuple(parts)
