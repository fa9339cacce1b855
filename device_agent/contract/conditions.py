"""What a board was doing at one moment of a run.

A named tuple, and no dataclass: the agent keeps these in a small process, and importing
`dataclasses` alone takes more than a megabyte of it.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional

from device_agent.contract.records import read_shown


class Conditions(NamedTuple):
    """What the board was doing at one moment; `None` or empty where the board does not tell."""

    moment: str = ""
    """Moment of the run: `before`, `begin` and `end` of the timed loop, `during`, `after`; empty
    in the answer of an older agent."""
    clock_ns: int = 0
    """Wall clock, nanoseconds since 1970."""
    monotonic_ns: int = 0
    """The clock that is never set, read at the same moment."""
    boot_id: str = ""
    """Another one after each start of the board."""
    load_1min: Optional[float] = None
    """Load average of the last minute."""
    running_tasks: Optional[int] = None
    """Tasks that run or wait for a CPU now, ours included."""
    memory_available_bytes: Optional[int] = None
    swap_used_bytes: Optional[int] = None
    oom_kills: Optional[int] = None
    """Processes that the kernel killed for want of memory since boot (Linux 4.13)."""
    governors: List[str] = []
    """The distinct frequency governors of the CPUs."""
    frequency_khz: Dict[str, int] = {}
    """Current frequency by CPU name (`cpu0`)."""
    max_frequency_khz: Dict[str, int] = {}
    time_in_state: Dict[str, Dict[str, int]] = {}
    """By frequency policy: kHz to the time spent there since boot, in ticks of 10 ms."""
    temperature_celsius: Dict[str, float] = {}
    """By thermal zone; `apex_0` is an Edge TPU on PCIe."""
    trip_celsius: Dict[str, float] = {}
    """By thermal zone: the lowest temperature at which something is slowed down."""
    cooling: Dict[str, int] = {}
    """By cooling device that slows a processor down: how far; 0 is not at all."""
    power_mw: Dict[str, float] = {}
    """By rail of a power sensor."""
    edgetpu_usb_mbps: Optional[int] = None
    """Negotiated speed of an Edge TPU stick: 480 is USB 2."""
    throttled: Optional[int] = None
    """Raspberry Pi's `get_throttled` bits: 0 under-voltage, 1 capped, 2 throttled, 3 soft limit."""
    quota_periods: Optional[int] = None
    """Periods in which a CPU quota of the control group stopped the process, since that exists."""


def conditions_from_json(plain: Any) -> Conditions:
    """Read `Conditions`, passing over what a newer agent may have added.

    Raises:
        RecordError: A field has another type.
    """
    return read_shown(Conditions, plain)
