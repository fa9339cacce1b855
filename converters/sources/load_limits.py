"""Limits while a model is loaded: the memory that is free, and a deadline.

A model declares its weights and its loops itself, so both may be far larger than its file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from converters.deadline import Deadline
from converters.digest import bytes_of
from converters.errors import ConversionError
from converters.sources.source_file import SourceFile

#: Seconds in which a small model is loaded, and more of them for each MB of it. ResNet-50 (100 MB)
#: takes 20 s on two busy cores.
_SECONDS, _SECONDS_PER_MB = 180.0, 2.0
#: Address space that TensorFlow reserves for its threads and never fills, in bytes.
_RESERVE_BYTES = 4 * 2**30
#: Message of TensorFlow or NumPy about a tensor for which there is no memory.
_NO_MEMORY = re.compile(r"OOM when allocating tensor with shape(\[[\d,]*\])|Unable to allocate")


@contextmanager
def limit_load(source: SourceFile) -> Iterator[None]:
    """Bound the memory and the time that a model takes while it is loaded.

    Args:
        source: File or folder of the model.
    """
    size_bytes = bytes_of(source.path) if source.path.exists() else 0  # a function has none
    seconds = _SECONDS + _SECONDS_PER_MB * size_bytes / 1e6
    error = ConversionError(
        f"{source.path}: was not loaded within {seconds:.0f} s: most likely its graph has a loop "
        "that does not end",
        "Call the model in Keras or TensorFlow with a batch of one sample first. If it answers "
        "there, convert it on a faster or less busy computer.",
    )
    with Deadline(error) as deadline:
        deadline.set(seconds)
        if deadline.has_parent:
            with _limit_memory():
                yield
        else:
            yield


def refuse_without_memory(path: Path, error: Exception) -> None:
    """Raise a refusal if an error says that there was no memory.

    Args:
        path: File or folder of the model.
        error: Error of Keras, TensorFlow or NumPy.

    Raises:
        ConversionError: The model declares more weights than this computer has memory for.
    """
    match = _NO_MEMORY.search(str(error))
    if match is None and not isinstance(error, MemoryError):
        return
    shape = f" (a tensor of shape {match[1]})" if match is not None and match[1] else ""
    raise ConversionError(
        f"{path}: declares more numbers than this computer has memory for{shape}",
        "If the model is as large as that, convert it on a computer with more memory. If not, the "
        "file is damaged: save the model again with `model.save(...)`.",
    ) from error


@contextmanager
def _limit_memory() -> Iterator[None]:
    """Let an allocation beyond the free memory fail, instead of ending other processes."""
    free = _free_bytes()
    if free is None:
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + free + _RESERVE_BYTES
    if before[0] == resource.RLIM_INFINITY or most < before[0]:
        resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _free_bytes() -> int | None:
    """Free memory of this computer, or of its control group; None where nobody says."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        available = re.search(r"^MemAvailable: *(\d+) kB", text, re.MULTILINE)
        free = int(available[1]) * 1024 if available else None
    except OSError:
        return None
    try:
        group = Path("/sys/fs/cgroup")
        most, used = (
            int((group / name).read_text(encoding="ascii"))
            for name in ("memory.max", "memory.current")
        )
    except (OSError, ValueError):  # there is no limit, which is "max"
        return free
    return most - used if free is None else min(free, most - used)
