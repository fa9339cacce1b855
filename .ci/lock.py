"""Writes constraints.txt and cuda.txt: the versions of all packages of .venv, by their hashes.

`make lock` runs it. PyPI's torch for Linux needs CUDA, 2 GB that no test uses, so that cuda.txt is
installed only where no other build of torch is at hand.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_HEADER = "# The packages of CUDA, for env.sh where torch needs them. Written by `make lock`.\n"
_OF_CUDA = ("cuda-", "nvidia-", "triton")
#: Version of torch to the digests of its builds without CUDA, which PyPI does not have:
#: torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl.
_CPU_BUILDS = {"2.13.0": ("6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",)}


def main() -> None:
    """Resolve the dependencies of setup.cfg, and part the packages of CUDA from the others."""
    os.chdir(_HERE.parent)
    path = Path(".ci/constraints.txt")  # relative, as uv writes its command into the file
    uv = Path(sys.executable).with_name("uv")
    options = ["--extra", "dev", "--universal", "--python-version", "3.10", "--generate-hashes"]
    command = [str(uv), "pip", "compile", "setup.cfg", *options, *sys.argv[1:], "--quiet"]
    subprocess.run([*command, "--output-file", str(path)], check=True)
    header, *packages = re.split(r"^(?=[a-z0-9])", path.read_text(), flags=re.M)
    cuda = [package for package in packages if package.startswith(_OF_CUDA)]
    others = [_with_cpu_builds(package) for package in packages if package not in cuda]
    path.write_text("# Written by `make lock`, which runs uv:\n" + header.partition("\n")[2])
    with path.open("a") as file:
        file.writelines(others)
    path.with_name("cuda.txt").write_text(_HEADER + "".join(cuda))


def _with_cpu_builds(package: str) -> str:
    name, version = package.split(" ", 1)[0].split("==")
    if name != "torch":
        return package
    first, rest = package.split("\n", 1)
    hashes = [f"    --hash=sha256:{digest} \\\n" for digest in _CPU_BUILDS.get(version, ())]
    return f"{first}\n{''.join(hashes)}{rest}"


if __name__ == "__main__":
    main()
