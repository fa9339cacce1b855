"""TensorRT as a board has it: NVIDIA's program `trtexec`, its library, and the GPU.

Only read: `kedge target check` runs this module from memory on a board that holds nothing of ours.
"""

from __future__ import annotations

import glob
import os
import re

from device_agent.board.pseudo_files import text_of

#: Places of the program beside the PATH: the first is that of JetPack and of NVIDIA's packages for
#: Debian (`libnvinfer-bin`).
_PLACES = (
    "/usr/src/tensorrt/bin/trtexec",
    "/usr/local/tensorrt/bin/trtexec",
    "/opt/tensorrt/bin/trtexec",
)

#: Places of the library, whose file has the version as its ending.
_LIBRARIES = ("usr/lib/*-linux-gnu*", "usr/local/tensorrt/lib", "usr/lib64", "usr/lib")
_VERSION = re.compile(r"libnvinfer\.so\.(\d{1,4}\.\d{1,4}\.\d{1,4})(?:\.\d{1,6})?\Z")

_GPU = re.compile(r"^Model:\s*(\S.*?)\s*$", re.MULTILINE)
_MOST_CHARACTERS = 100


def find_trtexec() -> str:
    """Return the path of `trtexec`: on the PATH, or where NVIDIA's packages put it; else empty."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    places = [os.path.join(folder, "trtexec") for folder in folders if os.path.isabs(folder)]
    for path in places + list(_PLACES):
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return ""


def library_version(program: str, root: str = "/") -> str:
    """Return the version of TensorRT's library, such as `10.3.0`; `unknown` where none is found.

    Args:
        program: Path of `trtexec`; the library of its own installation comes first.
        root: Folder that holds `usr/`.
    """
    own = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(program))), "lib")
    for folder in (own, *(os.path.join(root, place) for place in _LIBRARIES)):
        for path in sorted(glob.glob(os.path.join(folder, "libnvinfer.so.*"))):
            match = _VERSION.match(os.path.basename(path))
            if match:
                return match.group(1)
    return "unknown"


def gpu_name(root: str = "/") -> str:
    """Return the name of NVIDIA's GPU, or of the Jetson that it is a part of; empty for none.

    Args:
        root: Folder that holds `proc/`.
    """
    for path in sorted(glob.glob(os.path.join(root, "proc/driver/nvidia/gpus/*/information"))):
        match = _GPU.search(text_of("/", path))
        if match:
            return match.group(1)[:_MOST_CHARACTERS]
    model = text_of(root, "proc/device-tree/model").strip("\0")
    return model[:_MOST_CHARACTERS] if "NVIDIA" in model else ""
