"""The releases of `ai-edge-litert` that kedge uses, the preferred one first.

A wheel's tag is not the truth: `ai-edge-litert` 2.3 is tagged for glibc 2.27 and needs 2.34. The
needs were read from the symbol tables of the wheels themselves (ELF version needs of the shared
objects inside).
"""

from __future__ import annotations

from packaging.version import Version

from targets.runtimes.release import RuntimeRelease


def _release(
    version: str,
    machines: tuple[str, ...],
    pythons: tuple[int, int],
    glibc: str,
    glibcxx: str,
) -> RuntimeRelease:
    return RuntimeRelease(
        format="tflite",
        distribution="ai-edge-litert",
        version=version,
        machines=machines,
        pythons=pythons,
        glibc=Version(glibc),
        glibcxx=Version(glibcxx),
        numpy_2=True,
        about_bytes=14_400_000,  # of the wheel of 2.3.0 for Python 3.11 on aarch64
    )


#: Releases, the newest first.
RELEASES = (
    _release("2.3.0", ("aarch64", "x86_64"), (10, 14), "2.34", "3.4.30"),
    _release("2.1.0", ("aarch64",), (9, 13), "2.30", "3.4.26"),
)
