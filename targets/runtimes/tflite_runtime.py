"""The releases of `tflite-runtime` that kedge uses, the preferred one first.

A wheel's tag is not the truth: `tflite-runtime` 2.14 is tagged for glibc 2.34 and needs 2.27. The
needs were read from the symbol tables of the wheels themselves (ELF version needs of the shared
objects inside).
"""

from __future__ import annotations

from packaging.version import Version

from targets.runtimes.release import RuntimeRelease

#: The 32-bit wheels are compiled for VFPv4 and NEON with fused multiply-add, which Cortex-A8 and A9
#: do not have: SIGILL at import or at the first inference (tensorflow issue 42906).
_ARMV7L_NEEDS = {"armv7l": ("vfpv4", "neon")}


def _release(version: str, pythons: tuple[int, int]) -> RuntimeRelease:
    return RuntimeRelease(
        format="tflite",
        distribution="tflite-runtime",
        version=version,
        machines=("aarch64", "armv7l", "x86_64"),
        pythons=pythons,
        glibc=Version("2.27"),
        glibcxx=None,
        numpy_2=False,
        about_bytes=2_400_000,  # of the wheel of 2.14.0 for Python 3.11 on aarch64
        cpu_features=_ARMV7L_NEEDS,
    )


#: Releases, the newest first.
RELEASES = (
    _release("2.14.0", (9, 11)),
    _release("2.13.0", (8, 10)),
    _release("2.11.0", (7, 9)),
)
