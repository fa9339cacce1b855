"""Small files of `/proc` and `/sys`: read whole, or not at all."""

from __future__ import annotations

import os


def text_of(root: str, path: str) -> str:
    """Return what a file says, without the end of its line; empty when it cannot be read."""
    try:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            return file.read().strip("\0\n ")
    except OSError:
        return ""


def number_of(root: str, path: str) -> float:
    """Return the whole number that a file holds; not a number when it holds none."""
    try:
        return float(int(text_of(root, path)))
    except ValueError:
        return float("nan")
