"""The runtimes that a board has: of a vendor's image, of apt or of pip."""

from __future__ import annotations

import glob
import importlib.util
import os
import re
from typing import Any, Dict, List, Optional

from device_agent.board.tensorrt import find_trtexec, gpu_name, library_version
from device_agent.contract.runtimes import RUNTIME_MODULES, TENSORRT

#: Such as `__version__ = "1.18.0"` of onnxruntime, whose build for GPUs is called onnxruntime-gpu.
_STATED_VERSION = re.compile(r"""^__version__ = ["']([\w.+-]{1,40})["']""", re.MULTILINE)
_MOST_CHARACTERS = 1 << 16

#: Files of a build of ONNX Runtime that bring an execution provider.
_PROVIDER_FILES = (
    ("libonnxruntime_providers_cuda.so", "CUDA"),
    ("libonnxruntime_providers_tensorrt.so", "TensorRT"),
    ("libonnxruntime_providers_acl.so", "ACL"),
    ("libonnxruntime_providers_openvino.so", "OpenVINO"),
    ("libQnnHtp.so", "QNN"),
    ("libonnxruntime_providers_qnn.so", "QNN"),
)


def board_runtimes() -> List[Dict[str, Any]]:
    """Find them without importing or starting one.

    Whether one loads is only known when it is loaded.

    Returns:
        Name, version (`unknown` where nothing says it) and path of each; of ONNX Runtime also
        `providers`, of TensorRT `gpu`.
    """
    found = []
    for name, module in RUNTIME_MODULES.items():
        folder = _package_folder(module.split(".")[0])
        # TensorFlow may have been built, or packed, without its lite part.
        if folder and os.path.exists(os.path.join(folder, *module.split(".")[1:]) + ".py"):
            version = package_version(os.path.basename(folder), os.path.dirname(folder))
            providers = _providers(folder) if name == "onnxruntime" else ""
            found.append({"name": name, "version": version, "path": folder, "providers": providers})
    return found + _tensorrt()


def _providers(folder: str) -> str:
    """Execution providers of an ONNX Runtime by its files; others may be built into its library."""
    names = ["CPU"]
    for file, name in _PROVIDER_FILES:
        if glob.glob(os.path.join(glob.escape(folder), "capi", file)):
            names.append(name)
    return ", ".join(dict.fromkeys(names))


def _tensorrt() -> List[Dict[str, Any]]:
    """TensorRT is a program, which all Pythons of the board share."""
    program = find_trtexec()
    if not program:
        return []
    version, gpu = library_version(program), gpu_name()
    return [{"name": TENSORRT, "version": version, "path": program, "gpu": gpu}]


def package_version(package: str, folder: str) -> str:
    """The version by the metadata beside a package or by its code, else `unknown`."""
    for suffix in (".dist-info", ".egg-info"):
        for info in glob.glob(os.path.join(folder, package + "-*" + suffix)):
            # `numpy-1.24.2.egg-info`, and also `numpy-1.17.4-py3.8.egg-info`
            return os.path.basename(info)[len(package) + 1 : -len(suffix)].split("-")[0]
    return _version_in_code(os.path.join(folder, package, "__init__.py"))


def _version_in_code(path: str) -> str:
    """The `__version__` that a package states; a build of another name has other metadata."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            stated = _STATED_VERSION.search(file.read(_MOST_CHARACTERS))
    except OSError:
        return "unknown"
    return stated.group(1) if stated else "unknown"


def _package_folder(package: str) -> Optional[str]:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    return os.path.dirname(spec.origin) if spec is not None and spec.origin else None
