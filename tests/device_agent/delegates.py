"""Real delegates: small shared libraries that are built for a test, each with its own behaviour."""

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("small_delegate.c")
CREATE = "tflite_plugin_create_delegate"


def build_delegate(mode: str, create: str = CREATE) -> str:
    """Returns the path of a delegate that behaves as the mode of the source says.

    Args:
        mode: Such as `CLAIMS_ALL`.
        create: The name under which it exports its constructor.
    """
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc here to build a delegate with")
    return _built(compiler, mode, create)


@functools.cache
def _built(compiler: str, mode: str, create: str) -> str:
    path = Path(_folder().name) / f"lib{mode.lower()}-{create}.so"
    options = ["-shared", "-fPIC", "-O1", f"-DMODE={mode}", f"-DCREATE={create}"]
    subprocess.run([compiler, *options, str(SOURCE), "-o", str(path)], check=True)
    return str(path)


@functools.cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="kedge-delegates-")
