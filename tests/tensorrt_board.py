"""Puts the stand-in for `trtexec` on a board's PATH."""

import sys
from pathlib import Path

STAND_IN = Path(__file__).with_name("trtexec_stand_in.py")


def install_trtexec(folder: Path, version: str = "10.3.0", **environment: str) -> Path:
    """Writes `bin/trtexec`, which runs the stand-in by this Python, and TensorRT's library.

    Args:
        folder: A folder of the board.
        version: The version in the name of the library's file.
        environment: Variables that the stand-in gets.

    Returns:
        The folder `bin`.
    """
    programs = folder / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    (folder / "lib").mkdir(exist_ok=True)
    (folder / "lib" / f"libnvinfer.so.{version}").touch()
    settings = "".join(f"export {name}={value!r}\n" for name, value in environment.items())
    program = programs / "trtexec"
    program.write_text(f'#!/bin/sh\n{settings}exec "{sys.executable}" "{STAND_IN}" "$@"\n')
    program.chmod(0o755)
    return programs
