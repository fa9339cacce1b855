"""What a CPU can compute beyond the least of its architecture, as the kernel tells it. Pure."""

from __future__ import annotations

import re
from typing import List

#: Flags that decide whether a runtime loads, and by which of its kernels it computes; the others
#: are left out. Source: what XNNPACK asks of the CPU (its `hardware-config.h`), by the names of
#: `/proc/cpuinfo`; the first three are what wheels for 32-bit ARM are built for.
CPU_FEATURES = (
    *("vfpv3", "vfpv4", "neon", "fp", "asimd", "asimddp", "fphp", "asimdhp", "i8mm", "bf16"),
    *("sve", "sve2", "sme", "sme2"),
    *("ssse3", "sse4_1", "sse4_2", "f16c", "fma", "avx", "avx2", "avx_vnni", "avx_vnni_int8"),
    *("avx512f", "avx512bw", "avx512_vbmi", "avx512_vnni", "avx512_fp16", "gfni"),
    *("amx_tile", "amx_int8", "amx_fp16"),
)

_FLAGS = re.compile(r"^(?:Features|flags)\s*:\s*(.*)$", re.MULTILINE)


def cpu_features(cpuinfo: str) -> List[str]:
    """List those of `CPU_FEATURES` that the first core reports that reports any.

    Args:
        cpuinfo: Text of `/proc/cpuinfo`. On 64-bit ARM, `asimd` stands for NEON.
    """
    found = _FLAGS.search(cpuinfo)
    words = set(found.group(1).split()) if found else set()
    return [name for name in CPU_FEATURES if name in words]
