"""`--debug`: what a bug report needs, on standard error."""

from __future__ import annotations

import logging
import platform
from importlib.metadata import PackageNotFoundError, version

from toolkit.cli import output

#: Distributions whose versions decide what kedge does.
_DISTRIBUTIONS = (
    "kedge",
    "ai-edge-litert",
    "tflite-runtime",
    "onnxruntime",
    "tensorflow",
    "tf-keras",
    "numpy",
    "paramiko",
)


def start_debugging() -> None:
    """Print the versions of this installation, and let libraries report what they do."""
    output.note(f"Python {platform.python_version()} on {platform.platform()}")
    output.note(", ".join(f"{name} {_version_of(name)}" for name in _DISTRIBUTIONS))
    logging.basicConfig(
        level=logging.DEBUG, format="%(relativeCreated)8.0f ms %(name)s: %(message)s"
    )


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
