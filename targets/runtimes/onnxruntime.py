"""The releases of `onnxruntime` that kedge uses, the preferred one first.

A wheel's tag and its dependencies are not the truth. The needs were read from the symbol tables of
the wheels themselves (ELF version needs of the shared objects inside); of the packages that a wheel
names, only numpy is imported to run a model. There is no wheel for 32-bit ARM (onnxruntime issues
8874 and 24511).

1.21.0 is left out: on ARM cores before ARMv8.2, such as the Cortex-A72 of a Raspberry Pi 4, it dies
of SIGILL when it is imported (issues 23957, 24112 and 24512). Releases up to 1.24.4 abort on a
board without /sys.
"""

from __future__ import annotations

from packaging.version import Version

from device_agent.contract.facts import Facts
from targets.runtimes.release import RuntimeRelease


def _release(
    version: str, pythons: tuple[int, int], glibc: str, glibcxx: str, about_bytes: int
) -> RuntimeRelease:
    return RuntimeRelease(
        format="onnx",
        distribution="onnxruntime",
        version=version,
        machines=("aarch64", "x86_64"),
        pythons=pythons,
        glibc=Version(glibc),
        glibcxx=Version(glibcxx),
        numpy_2=Version(version) >= Version("1.19"),
        about_bytes=about_bytes,
    )


#: Releases, the newest first; the sizes are of the wheels for aarch64. 1.28.0 is the last for glibc
#: 2.27, 1.23.2 the last for Python 3.10, 1.19.2 for 3.8 and 3.9, and 1.14.1 for 3.7; 1.16.3 loads
#: with the oldest glibc.
RELEASES = (
    _release("1.32.0", (11, 14), "2.28", "3.4.22", 23_200_000),
    _release("1.28.0", (11, 14), "2.27", "3.4.21", 17_100_000),
    _release("1.23.2", (10, 13), "2.27", "3.4.22", 15_200_000),
    _release("1.19.2", (8, 12), "2.27", "3.4.22", 11_500_000),
    _release("1.16.3", (8, 11), "2.17", "3.4.19", 5_800_000),
    _release("1.14.1", (7, 10), "2.27", "3.4.21", 4_700_000),
)


def fatal_flaw(version: str, facts: Facts) -> str | None:
    """Say why a release that the board's own Python has dies there; `None` for no known reason.

    Args:
        version: Version of the release.
        facts: Facts about the board.
    """
    features = facts.cpu_features
    if version != "1.21.0" or facts.machine != "aarch64" or not features or facts.emulated:
        return None
    if "asimddp" in features:  # of ARMv8.2, as the instructions that it uses without asking
        return None
    return "1.21.0 uses instructions that the CPU does not have: it would die of SIGILL"
