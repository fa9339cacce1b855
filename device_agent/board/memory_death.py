"""What a board's memory says about a process that was killed."""

from __future__ import annotations

from typing import List

from device_agent.contract.codes import RefusalError
from device_agent.contract.conditions import Conditions


def with_memory_figures(death: RefusalError, seen: List[Conditions]) -> RefusalError:
    """Add to a death what memory there was, and whether the kernel killed for want of it.

    Args:
        death: The process died.
        seen: The conditions before, during and after; in order.
    """
    told = []
    available = [entry.memory_available_bytes for entry in seen]
    known = [count for count in available if count is not None]
    if known:
        told.append(
            "available memory: {} before, {} at the least seen".format(
                _mib(known[0]), _mib(min(known))
            )
        )
    kills = [entry.oom_kills for entry in seen if entry.oom_kills is not None]
    if kills and kills[-1] > kills[0]:
        told.append("the kernel killed for want of memory meanwhile")
    if not told:
        return death
    lines = str(death).split("\n")
    lines[0] += " ({})".format("; ".join(told))
    return RefusalError(death.code, "\n".join(lines), death.hint, death.traceback)


def _mib(count: int) -> str:
    return "{:.0f} MiB".format(count / 2**20)
