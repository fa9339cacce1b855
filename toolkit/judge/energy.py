"""Energy of an inference, where the board has a sensor. Pure; never estimated.

Power is read before each process, at both ends of its timed loop and every second within it. Times
the time of a run it is the gross energy; less what the board drew while idle it is what the
inference itself costs. Short loops have few readings: their number is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from device_agent.contract.conditions import Conditions
from targets.board_run import BoardRun

#: Rails that feed the whole board (NVIDIA, Jetson developer guide, power monitors); where there is
#: none of them, the rails that there are count together.
INPUT_RAILS = ("VDD_IN", "POM_5V_IN", "5V_IN")


@dataclass(frozen=True)
class Energy:
    """Energy of one inference."""

    gross_uj: float
    """Energy that the rails drew while it ran, in microjoules."""
    net_uj: float | None
    """Gross energy less the energy of the idle board in this time, in microjoules; `None` where no
    idle power was read."""
    power_mw: float
    idle_mw: float | None
    rails: tuple[str, ...]
    readings: int
    """Number of readings while it ran, over all processes."""


def energy_of(runs: Sequence[BoardRun]) -> Energy | None:
    """Return the energy of one inference; `None` without a sensor."""
    readings = [entry for run in runs for entry in run.conditions if entry.power_mw]
    at_work = [entry for entry in readings if entry.moment in ("begin", "during", "end")]
    if not at_work:
        return None
    rails = tuple(rail for rail in INPUT_RAILS if rail in at_work[0].power_mw)[:1]
    rails = rails or tuple(at_work[0].power_mw)
    idle = [_drawn_mw(entry, rails) for entry in readings if entry.moment == "before"]
    power_mw = mean(_drawn_mw(entry, rails) for entry in at_work)
    runs_made = sum(run.run.runs or len(run.samples_ns) for run in runs)
    us_each = sum(run.run.wall_ns for run in runs) / 1e3 / runs_made
    idle_mw = mean(idle) if idle else None
    return Energy(
        gross_uj=power_mw * us_each / 1e3,
        net_uj=(power_mw - idle_mw) * us_each / 1e3 if idle_mw is not None else None,
        power_mw=power_mw,
        idle_mw=idle_mw,
        rails=rails,
        readings=len(at_work),
    )


def _drawn_mw(entry: Conditions, rails: tuple[str, ...]) -> float:
    return sum(entry.power_mw.get(rail, 0.0) for rail in rails)
