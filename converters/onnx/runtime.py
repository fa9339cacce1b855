"""ONNX Runtime on this host: the only import of it. Nothing is sent to its maker."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from converters.errors import MissingConvertExtraError
from device_agent.contract.runtimes import NO_TELEMETRY

_USE = "runs .onnx files on this computer"


def onnxruntime_version() -> tuple[str, str]:
    """Name and version of the installed ONNX Runtime.

    Raises:
        MissingConvertExtraError: It is not installed.
    """
    try:
        return "onnxruntime", version("onnxruntime")
    except PackageNotFoundError as error:
        raise missing_package("onnxruntime", _USE) from error


def import_onnxruntime() -> Any:
    """Import the module `onnxruntime`, with its telemetry off.

    Raises:
        MissingConvertExtraError: It is not installed.
    """
    os.environ.update(NO_TELEMETRY)
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_package("onnxruntime", _USE) from error
    return onnxruntime


def missing_package(package: str, use: str) -> MissingConvertExtraError:
    """Return the error of a package that is not installed.

    Args:
        package: Name of the package.
        use: Use of it for kedge, as the rest of a sentence.
    """
    return MissingConvertExtraError(
        f"{package}, which {use}, is not installed", "In a clone of kedge: pip install '.[onnx]'"
    )
