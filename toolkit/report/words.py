"""Figures in words: percentages, sizes, durations, paths. Pure but for the current folder."""

from __future__ import annotations

from pathlib import Path

#: Characters of a tensor's name that a table has room for.
_SHOWN_NAME = 50

#: A file of fewer bytes for each byte of weights is compared as it is; Keras keeps the state of the
#: optimizer in it, of Adam two numbers for each weight.
_MOSTLY_WEIGHTS = 1.5


def path(location: Path) -> str:
    """Write a path as a person would type it in the current folder."""
    try:
        return str(location.relative_to(Path.cwd()))
    except ValueError:
        return str(location)


def end_of(name: str) -> str:
    """Return the end of a long name, where tensors of one model differ."""
    return name if len(name) <= _SHOWN_NAME else "…" + name[1 - _SHOWN_NAME :]


def percent(fraction: float) -> str:
    """Write a share as a percentage."""
    return f"{100 * fraction:.2f} %"


def count_of(noun: str, count: int) -> str:
    """Write a number of things, such as `1 board` and `1,000 boards`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def size(count: int) -> str:
    """Write a number of bytes."""
    if count < 10_000:
        return f"{count:,} bytes"
    for unit, scale in (("KiB", 2**10), ("MiB", 2**20)):
        if count < 1000 * scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count / 2**30:.1f} GiB"


def duration(microseconds: float) -> str:
    """Write a latency with the unit that reads best."""
    if microseconds < 10:
        return f"{microseconds:.3g} us"
    if microseconds < 1000:
        return f"{microseconds:.1f} us"
    if microseconds < 1e6:
        return f"{microseconds / 1000:.3g} ms"
    seconds = microseconds / 1e6
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} min"


def model_size(file_bytes: int, weight_bytes: int | None) -> str:
    """Write the size of a given model: its weights first, if the file holds much besides them.

    Args:
        file_bytes: Size of the file.
        weight_bytes: Size of its weights; `None` where it is not known.
    """
    if weight_bytes is None or file_bytes < _MOSTLY_WEIGHTS * weight_bytes:
        return size(file_bytes)
    return f"{size(weight_bytes)} of weights (file {size(file_bytes)})"
