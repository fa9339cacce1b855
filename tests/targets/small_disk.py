"""File systems of a test's own: small, read-only, without execution."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    """Mounts a file system of its own on a folder."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a disk")
    folder.mkdir(exist_ok=True)
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", folder], check=False
    ).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)
