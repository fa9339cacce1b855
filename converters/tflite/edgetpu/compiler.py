"""Runs `edgetpu_compiler`, where it is installed, and reads what it says.

The compiler is Coral's program for x86-64 Debian (last release 16.0). It ends now and then with
"Internal compiler error. Aborting!" on a model that it takes a moment later, so it is run twice.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from converters.errors import ConversionError

PROGRAM = "edgetpu_compiler"
#: The compiler's own limit is 180 s.
_LONGEST_S = 300
_ATTEMPTS = 2
_ABORT = "Internal compiler error"
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

_SIZE = r"(\d+(?:\.\d+)?)(B|KiB|MiB|GiB)"
_CACHED = re.compile(rf"On-chip memory used for caching model parameters: {_SIZE}")
_STREAMED = re.compile(rf"Off-chip memory used for streaming uncached model parameters: {_SIZE}")
_SUBGRAPHS = re.compile(r"Number of Edge TPU subgraphs: (\d+)")
_ON_EDGETPU = re.compile(r"Number of operations that will run on Edge TPU: (\d+)")
_TOTAL = re.compile(r"Total number of operations: (\d+)")
#: A line of the table: the op in capitals, its number, and the status to the end.
_LINE = re.compile(r"^([A-Z][A-Z0-9_]*)\s+(\d+)\s{2,}(\S.*?)\s*$", re.M)

MAPPED = "Mapped to Edge TPU"


@dataclass(frozen=True)
class OperatorStatus:
    """What the compiler says about some operators of one op."""

    op: str
    count: int
    status: str
    """Words of the compiler, such as `MAPPED`."""


@dataclass(frozen=True)
class CompilerReport:
    """What the compiler said about a model."""

    operators: tuple[OperatorStatus, ...]
    total: int
    """Number of operators."""
    mapped: int
    """Number of operators on the Edge TPU."""
    subgraphs: int
    """Number of blocks for the Edge TPU."""
    cached_bytes: int
    """Parameters that stay on the chip."""
    streamed_bytes: int
    """Parameters that are sent anew for each inference."""


def is_installed() -> bool:
    """Whether the compiler is on the path."""
    return shutil.which(PROGRAM) is not None


def compile_model(model: Path, folder: Path) -> tuple[Path, CompilerReport]:
    """Compile a file for the Edge TPU.

    Args:
        model: A .tflite of full int8.
        folder: Folder for the compiled file and the compiler's log.

    Returns:
        The compiled file, and what the compiler said.

    Raises:
        ConversionError: The compiler is not installed, refuses the file, or takes too long.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise ConversionError(
            f"{PROGRAM} is not installed",
            "Install it on an x86-64 Debian or Ubuntu from Coral's packages, or convert there; "
            "kedge inspect --board coral-dev-board predicts what it would do.",
        )
    command = [program, "--show_operations", "--out_dir", str(folder), str(model)]
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=_LONGEST_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConversionError(
                f"{model}: {PROGRAM} gave no answer: {error}",
                "Make the model smaller; the compiler gives up after 180 seconds.",
            ) from error
        text = done.stdout + done.stderr
        if done.returncode == 0 or _ABORT not in text or attempt == _ATTEMPTS:
            break
    compiled = folder / f"{model.stem}_edgetpu.tflite"
    if done.returncode or not compiled.is_file():
        lines = [line for line in text.splitlines() if line.strip()]
        raise ConversionError(
            f"{model}: {PROGRAM} refuses it: {lines[-1] if lines else 'no words'}",
            "kedge inspect --board coral-dev-board shows which operators it does not take.",
        )
    return compiled, parse_report(text)


def parse_report(text: str) -> CompilerReport:
    """Read the output of `edgetpu_compiler --show_operations`.

    Args:
        text: Standard output; lines that are not known are left out.
    """
    operators = tuple(
        OperatorStatus(op, int(count), status) for op, count, status in _LINE.findall(text)
    )
    total = _number(_TOTAL, text) or sum(each.count for each in operators)
    mapped = sum(each.count for each in operators if each.status == MAPPED)
    return CompilerReport(
        operators=operators,
        total=total,
        mapped=_number(_ON_EDGETPU, text) or mapped,
        subgraphs=_number(_SUBGRAPHS, text),
        cached_bytes=_bytes(_CACHED, text),
        streamed_bytes=_bytes(_STREAMED, text),
    )


def _number(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.search(text)
    return int(match[1]) if match else 0


def _bytes(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.search(text)
    return round(float(match[1]) * _UNITS[match[2]]) if match else 0
