"""How warm a board is, and where its kernel begins to slow it down for that."""

from __future__ import annotations

import glob
import os
from typing import Dict, Iterator, Tuple

from device_agent.board.pseudo_files import number_of, text_of

#: Trip points at which the kernel slows something down or switches it off; `active` is a fan.
_SLOWING_TRIPS = ("passive", "hot", "critical")

#: Words in the type of a cooling device that slows a processor down; others are fans and LEDs.
_SLOWING_COOLERS = ("cpufreq", "cpu-", "devfreq", "gpu-", "processor")


def temperatures_of(root: str) -> Dict[str, float]:
    """Zone name to degrees; the kernel reports thousandths. Zones of one name are numbered.

    An Edge TPU on PCIe (gasket driver: `/sys/class/apex`) counts as a zone; one on USB tells none.
    """
    found = {name: number_of(root, os.path.join(zone, "temp")) for name, zone in _zones(root)}
    for chip in _chips(root):
        found[os.path.basename(chip)] = number_of(root, os.path.join(chip, "temp"))
    return {name: value / 1000.0 for name, value in found.items() if value == value}


def trips_of(root: str) -> Dict[str, float]:
    """Zone name to the lowest temperature at which something is slowed down.

    Of an Edge TPU that is `trip_point0_temp`, where the driver halves its clock.
    """
    found = {}
    for name, zone in _zones(root):
        temperatures = [
            number_of(root, kind[: -len("type")] + "temp")
            for kind in glob.glob(os.path.join(zone, "trip_point_*_type"))
            if text_of(root, kind) in _SLOWING_TRIPS
        ]
        known = [value / 1000.0 for value in temperatures if value > 0]
        if known:
            found[name] = min(known)
    for chip in _chips(root):
        value = number_of(root, os.path.join(chip, "trip_point0_temp"))
        if value > 0:
            found[os.path.basename(chip)] = value / 1000.0
    return found


def cooling_of(root: str) -> Dict[str, int]:
    """Cooling devices that slow a processor down, by type and number, to how far they do."""
    found = {}
    for device in sorted(glob.glob(os.path.join(root, "sys/class/thermal/cooling_device*"))):
        kind = text_of(root, os.path.join(device, "type"))
        state = number_of(root, os.path.join(device, "cur_state"))
        if any(word in kind.lower() for word in _SLOWING_COOLERS) and state >= 0:
            number = os.path.basename(device)[len("cooling_device") :]
            found["{}-{}".format(kind, number)] = int(state)
    return found


def _zones(root: str) -> Iterator[Tuple[str, str]]:
    seen = set()
    for zone in sorted(glob.glob(os.path.join(root, "sys/class/thermal/thermal_zone*"))):
        name = text_of(root, os.path.join(zone, "type")) or os.path.basename(zone)
        if name in seen:
            name = "{}-{}".format(name, os.path.basename(zone)[len("thermal_zone") :])
        seen.add(name)
        yield name, zone


def _chips(root: str) -> Iterator[str]:
    yield from sorted(glob.glob(os.path.join(root, "sys/class/apex/apex_*")))
