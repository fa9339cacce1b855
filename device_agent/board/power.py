"""What a board draws now, where it has a sensor for it: the INA chips that hwmon knows.

Jetson boards carry an INA3221; the kernel reports millivolts and milliamperes of each channel.
Chips with one channel report microwatts. Most other boards have none, and then nothing is said.
"""

from __future__ import annotations

import glob
import os
from typing import Dict

from device_agent.board.pseudo_files import number_of, text_of


def power_of(root: str) -> Dict[str, float]:
    """Rail to milliwatts."""
    found = {}
    for chip in sorted(glob.glob(os.path.join(root, "sys/class/hwmon/hwmon*"))):
        name = text_of(root, os.path.join(chip, "name"))
        if not name.startswith("ina"):
            continue
        for current in sorted(glob.glob(os.path.join(chip, "curr[1-3]_input"))):
            channel = os.path.basename(current)[len("curr") : -len("_input")]
            voltage = os.path.join(chip, "in{}_input".format(channel))
            milliwatts = number_of(root, current) * number_of(root, voltage) / 1000.0
            label = text_of(root, os.path.join(chip, "in{}_label".format(channel)))
            if milliwatts == milliwatts:
                found[label or "{}.{}".format(name, channel)] = milliwatts
        microwatts = number_of(root, os.path.join(chip, "power1_input"))
        if microwatts == microwatts and not any(rail.startswith(name) for rail in found):
            found.setdefault(name, microwatts / 1000.0)
    return found
