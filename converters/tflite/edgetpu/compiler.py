"""Runs `edgetpu_compiler`, where it is installed, and reads what it says.

The compiler is Coral's program for x86-64 Debian (last release 16.0). It ends now and then with
"Internal compiler error. Aborting!" on a model that it takes a moment later, so it is run twice.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.errors import ConversionError, HostDiskError, MissingConvertExtraError
from converters.tflite.reader import read_model

PROGRAM = "edgetpu_compiler"
#: The compiler's own limit is 180 s.
_LONGEST_S = 300
_ATTEMPTS = 2
#: Characters of its last line that a message shows, and bytes of its output that are read.
_MOST_SAID, _MOST_LOG_BYTES = 300, 4 << 20
#: Seconds for the rest of its output once it has ended.
_LOG_S = 5.0
#: A disk with less room than this is full; the smallest compiled file is larger.
_LEAST_FREE_BYTES = 64 << 10
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

    @property
    def is_readable(self) -> bool:
        """Whether the output had a table of operators; all figures are 0 without one."""
        return bool(self.operators)


def is_installed() -> bool:
    """Whether the compiler is on the path."""
    return shutil.which(PROGRAM) is not None


def require_compiler() -> str:
    """Return the path of the compiler.

    Raises:
        MissingConvertExtraError: It is not installed.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise MissingConvertExtraError(
            f"{PROGRAM} is not installed",
            "Install it on an x86-64 Debian or Ubuntu from Coral's packages "
            "(https://coral.ai/docs/edgetpu/compiler/), or convert there; kedge inspect --board "
            "coral-dev-board predicts what it would do.",
        )
    return program


def compile_model(model: Path, folder: Path) -> tuple[Path, CompilerReport]:
    """Compile a file for the Edge TPU.

    Args:
        model: A .tflite of full int8.
        folder: Folder for the compiled file and the compiler's log.

    Returns:
        The compiled file, and what the compiler said.

    Raises:
        MissingConvertExtraError: The compiler is not installed.
        ConversionError: The compiler refuses the file, dies, takes too long, or writes no compiled
            file.
        HostDiskError: The disk is full.
    """
    program = require_compiler()
    command = [program, "--show_operations", "--out_dir", str(folder), str(model)]
    for attempt in range(1, _ATTEMPTS + 1):
        code, text = _run(command, model)
        if code == 0 or _ABORT not in text or attempt == _ATTEMPTS:
            break
    try:
        compiled = _result(model, folder, code, text)
    except ConversionError as error:
        _refuse_full_disk(model, folder, text, error)
        raise
    return compiled, parse_report(text)


def _result(model: Path, folder: Path, code: int, text: str) -> Path:
    """Return the compiled file.

    Raises:
        ConversionError: The compiler refused the model, died, or wrote no compiled file.
    """
    compiled = folder / f"{model.stem}_edgetpu.tflite"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    words = f"{lines[-1][:_MOST_SAID]!r}" if lines else "nothing"
    if code < 0:
        raise ConversionError(
            f"{model}: {PROGRAM} died of signal {-code} ({signal.strsignal(-code)}); its last "
            f"line: {words}",
            "Try again. If it dies each time, change the model: kedge inspect --board "
            "coral-dev-board shows which operators it takes.",
        )
    if code:
        raise ConversionError(
            f"{model}: {PROGRAM} refuses it (exit code {code}): {words}",
            "kedge inspect --board coral-dev-board shows which operators it does not take.",
        )
    if not compiled.is_file():
        raise ConversionError(
            f"{model}: {PROGRAM} ended well and wrote no file {compiled.name}; its last line: "
            f"{words}",
            f"Is {shutil.which(PROGRAM)} Coral's compiler? Run it on the file to see all it says.",
        )
    if not read_model(compiled).edgetpu:
        raise ConversionError(
            f"{model}: {PROGRAM} wrote a file without a part for the Edge TPU",
            "Is it Coral's compiler? kedge inspect --board coral-dev-board shows which operators "
            "it takes.",
        )
    return compiled


def _refuse_full_disk(model: Path, folder: Path, text: str, cause: ConversionError) -> None:
    """Blame the disk, not the model, where it is full.

    Raises:
        HostDiskError: The disk of the folder is full.
    """
    free = shutil.disk_usage(folder).free
    if free < _LEAST_FREE_BYTES or os.strerror(errno.ENOSPC) in text:
        raise HostDiskError(
            f"{model}: {PROGRAM} ran out of room: {free} bytes are free in {folder.parent}",
            "Free space on this computer's disk, or choose another folder with --out.",
        ) from cause


def _run(command: list[str], model: Path) -> tuple[int, str]:
    """Run the compiler with all that it starts; return its exit code and the end of its output."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise ConversionError(
            f"{PROGRAM} cannot be started: {error.strerror}", "Install it again."
        ) from error
    log = bytearray()
    reader = threading.Thread(target=_read_end, args=(process.stdout, log), daemon=True)
    reader.start()
    try:
        code = process.wait(_LONGEST_S)
    except subprocess.TimeoutExpired as error:
        raise ConversionError(
            f"{model}: {PROGRAM} gave no answer in {_LONGEST_S:g} seconds",
            "Make the model smaller; the compiler gives up after 180 seconds.",
        ) from error
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join(_LOG_S)
    return code, bytes(log).decode("utf-8", "replace")


def _read_end(stream: Any, log: bytearray) -> None:
    """Read a stream to its end, and close it; keep its last bytes in `log`."""
    with stream:
        while chunk := stream.read1(1 << 16):
            log += chunk
            del log[:-_MOST_LOG_BYTES]


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
