"""What a board's memory says about a process that was killed."""

from __future__ import annotations

from typing import List

from device_agent.contract.codes import RefusalError
from device_agent.contract.conditions import Conditions

#: Reason that is assumed for a process that was killed.
MEMORY_GUESS = ", most likely because the board ran out of memory"

_NOT_THE_KERNEL = (
    ", though not by the kernel for want of memory: another program or a person did it"
)
_OTHERS_HINT = (
    "See what ends processes on the board, such as a watchdog, earlyoom or systemd-oomd; then try "
    "again."
)


def with_memory_figures(
    death: RefusalError, conditions: List[Conditions], limit_bytes: int = 0
) -> RefusalError:
    """Add to a death how much memory the board had, and whether the kernel killed for lack of it.

    Args:
        death: Refusal that says that the process died.
        conditions: Conditions before, during and after the run, in order.
        limit_bytes: Memory that the control group of the agent may use; 0 for no limit.
    """
    figures = []
    if limit_bytes:
        figures.append("the control group may use {}".format(_mib(limit_bytes)))
    available = [entry.memory_available_bytes for entry in conditions]
    counts = [count for count in available if count is not None]
    if counts:
        figures.append(
            "available memory: {} before, {} at the least seen".format(
                _mib(counts[0]), _mib(min(counts))
            )
        )
    kills = [entry.oom_kills for entry in conditions if entry.oom_kills is not None]
    if kills and kills[-1] > kills[0]:
        figures.append("the kernel killed a process for want of memory meanwhile")
    if not figures:
        return death
    lines, hint = str(death).split("\n"), death.hint
    if kills and kills[-1] == kills[0] and MEMORY_GUESS in lines[0]:
        lines[0], hint = lines[0].replace(MEMORY_GUESS, _NOT_THE_KERNEL), _OTHERS_HINT
    lines[0] += " ({})".format("; ".join(figures))
    return RefusalError(death.code, "\n".join(lines), hint, death.traceback)


def _mib(count: int) -> str:
    return "{:.0f} MiB".format(count / 2**20)
