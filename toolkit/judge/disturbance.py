"""Disturbances of a board while it measured: heat, power, memory, its clock, a restart. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from device_agent.contract.conditions import Conditions
from targets.board_run import BoardRun

#: Bits of Raspberry Pi's get_throttled that mean "now". The same 16 higher mean "since boot": one
#: that was set before proves nothing, one that appears while a process ran does.
_THROTTLED = {
    0: "under-voltage",
    1: "the frequency is capped",
    2: "throttled",
    3: "soft temperature limit",
}
_SINCE_BOOT = 16

#: An Edge TPU on PCIe that reads less is dead (its driver then sees no chip at all).
DEAD_CHIP_CELSIUS = -80.0

#: Adjusting a clock is no jump: NTP slews by 500 parts per million at most.
CLOCK_SLEW = 500e-6
CLOCK_JUMP_S = 1.0

#: USB 2: each inference waits for the tensors and weights that travel.
_SLOW_USB_MBPS = 480


def disturbances(runs: Sequence[BoardRun]) -> list[str]:
    """Return the reasons why the figures of these runs are worthless."""
    conditions = [reading for run in runs for reading in run.conditions]
    reasons = [*filter(None, [quota_stops(runs)]), *_throttling(runs), *_heat(conditions)]
    swap = [
        reading.swap_used_bytes for reading in conditions if reading.swap_used_bytes is not None
    ]
    if swap and swap[-1] > swap[0]:
        reasons.append("the board began to swap while it ran")
    if len({reading.boot_id for reading in conditions if reading.boot_id}) > 1:
        reasons.append("the board restarted while it was measured")
    return reasons


def clock_jump(runs: Sequence[BoardRun]) -> str | None:
    """Say by how much the wall clock jumped, compared with the monotonic clock."""
    for run in runs:
        readings = [reading for reading in run.conditions if reading.clock_ns]
        if len(readings) < 2:
            continue
        offsets = [(reading.clock_ns - reading.monotonic_ns) / 1e9 for reading in readings]
        span_s = (readings[-1].monotonic_ns - readings[0].monotonic_ns) / 1e9
        jump = max(offsets) - min(offsets)
        if jump > CLOCK_JUMP_S + CLOCK_SLEW * span_s:
            return f"the board's clock jumped by {jump:.1f} s: it was set, or the board slept"
    return None


def warnings(runs: Sequence[BoardRun]) -> list[str]:
    """Return what a person should know although the figures are valid."""
    conditions = [reading for run in runs for reading in run.conditions]
    texts = []
    swap = max((reading.swap_used_bytes or 0 for reading in conditions), default=0)
    if swap:
        texts.append(f"{swap / 2**20:.0f} MiB of swap are in use on the board")
    if any(reading.edgetpu_usb_mbps == _SLOW_USB_MBPS for reading in conditions):
        texts.append("the Edge TPU stick is at USB 2 (480 Mbit/s): use a USB 3 port and cable")
    return texts


def quota_stops(runs: Sequence[BoardRun]) -> str | None:
    """Say in how many periods a CPU quota stopped the timed loops; `None` where it stopped none."""
    stops = 0
    for run in runs:
        loop = [entry for entry in run.conditions if entry.moment in ("begin", "end")]
        readings = loop if len(loop) > 1 else run.conditions
        counts = [entry.quota_periods for entry in readings if entry.quota_periods is not None]
        stops += max(0, counts[-1] - counts[0]) if counts else 0
    if not stops:
        return None
    periods = f"{stops} period{'' if stops == 1 else 's'}"
    return f"throttled: a CPU quota (cgroup) stopped the process in {periods} while it ran"


def _throttling(runs: Sequence[BoardRun]) -> list[str]:
    bits = set()
    for run in runs:
        flags_read = [
            reading.throttled for reading in run.conditions if reading.throttled is not None
        ]
        for bit in _THROTTLED:
            now = any(flags >> bit & 1 for flags in flags_read)
            sticky = [flags >> (bit + _SINCE_BOOT) & 1 for flags in flags_read]
            if now or (sticky and sticky[-1] > sticky[0]):
                bits.add(bit)
    return [_THROTTLED[bit] + " while it ran" for bit in sorted(bits)]


def _heat(conditions: Sequence[Conditions]) -> list[str]:
    reasons = {}
    for reading in conditions:
        for zone, celsius in reading.temperature_celsius.items():
            trip = reading.trip_celsius.get(zone)
            if zone.startswith("apex") and celsius < DEAD_CHIP_CELSIUS:
                reasons[zone] = f"the Edge TPU {zone} reads {celsius:.0f} C: the chip is dead"
            elif trip is not None and celsius >= trip:
                reasons[zone] = (
                    f"too hot: {zone} reached {celsius:.0f} C, and is slowed down from {trip:.0f} C"
                )
        for device, state in reading.cooling.items():
            if state > 0:
                reasons[device] = f"the kernel slowed the board down for its heat ({device})"
    return list(reasons.values())
