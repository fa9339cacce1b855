"""Writes constraints.txt, torch.txt and torch_cpu.txt: all packages of .venv, by their hashes.

`make lock` runs it. PyPI's torch for Linux needs CUDA, gigabytes that no test uses; so torch has
files of its own, one with CUDA and one for a build without it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent
_BEGINNING = "# Written by `make lock`"
_OF_TORCH = ("torch==", "cuda-", "nvidia-", "triton==")
#: Version of torch to the digests of its builds without CUDA, which are not on PyPI:
#: torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl.
_CPU_BUILDS = {"2.13.0": ("6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",)}


def main() -> None:
    """Resolve the dependencies of setup.cfg, and part torch from the others."""
    os.chdir(_FOLDER.parent)  # uv writes its command into the file: no path of a computer
    path = Path(".ci/constraints.txt")
    uv = Path(sys.executable).with_name("uv")
    options = ["--extra", "dev", "--universal", "--python-version", "3.10", "--generate-hashes"]
    command = [str(uv), "pip", "compile", "setup.cfg", *options, *sys.argv[1:], "--quiet"]
    subprocess.run([*command, "--output-file", str(path)], check=True)
    header, *packages = re.split(r"^(?=[a-z0-9])", path.read_text(), flags=re.M)
    of_torch = [package for package in packages if package.startswith(_OF_TORCH)]
    header = header.partition("\n")[2]
    others = [package for package in packages if package not in of_torch]
    path.write_text(f"{_BEGINNING}, by uv:\n{header}{''.join(others)}")
    about_cuda = f"{_BEGINNING}: torch as PyPI has it, for Linux with the packages of CUDA.\n"
    path.with_name("torch.txt").write_text(about_cuda + "".join(of_torch))
    version = next(re.findall(r"^torch==([0-9.]+)", text) for text in of_torch if "torch==" in text)
    builds = _CPU_BUILDS.get(version[0], ())
    hashes = " \\\n".join(f"    --hash=sha256:{digest}" for digest in builds)
    about_cpu = f"{_BEGINNING}: builds of torch without CUDA, for PIP_FIND_LINKS.\n"
    line = f"torch=={version[0]}+cpu \\\n{hashes}\n" if builds else ""
    path.with_name("torch_cpu.txt").write_text(about_cpu + line)


if __name__ == "__main__":
    main()
