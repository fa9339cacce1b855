"""Facts about a board, typed, as the host reads them. The agent sends plain JSON and needs no type.

What a board says is not trusted: a value that is missing, or has another type than it should, is
read as "not reported". `Facts.plain` keeps the JSON itself for what is stored and printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple

from device_agent.contract.records import on_one_line

#: Smallest number that no board can have, where that is less than a number of 64 bits.
_MOST = {"cores": 4096, "page_bytes": 1 << 30}


@dataclass(frozen=True)
class CoreClass:
    """One kind of core of a CPU."""

    name: str = ""
    """Name of the core, such as `Cortex-A76`; empty where it is unknown."""
    implementer: str = ""
    """Implementer code of the main identification register, such as `0x41`."""
    part: str = ""
    """Part number of the main identification register, such as `0xd0b`."""
    cores: Tuple[int, ...] = ()
    """Numbers of the cores of this kind."""
    max_khz: int = 0
    """Highest frequency; 0 where it is not reported."""


@dataclass(frozen=True)
class Accelerator:
    """One accelerator of a board."""

    kind: str = ""
    """Kind of accelerator, such as `edgetpu-usb`."""
    path: str = ""
    """Path on the board, of the device node or of its folder in `/sys`."""
    usable: bool = False
    """Whether the user may read and write the device node."""
    state: str = ""
    """State of a Coral accelerator, such as `ready` or `no driver`; empty for others."""
    usb_mbits: int = 0
    """Negotiated speed of a USB accelerator; 0 where it is not reported."""


@dataclass(frozen=True)
class BoardRuntime:
    """One runtime that the board has of its own."""

    name: str = ""
    """Name of the distribution."""
    version: str = ""
    """Version of the distribution; `unknown` where no metadata says it."""
    path: str = ""
    """Path of its package, or of the program `trtexec` of TensorRT."""
    providers: str = ""
    """Execution providers of ONNX Runtime that its files show, with commas between; empty for other
    runtimes."""
    gpu: str = ""
    """Name of the GPU that TensorRT uses, or of the Jetson that it is a part of; empty for other
    runtimes."""


@dataclass(frozen=True)
class Facts:
    """Facts about a board; empty, 0 or `None` where the board does not report them."""

    machine: str = ""
    """Architecture that programs see: `x86_64`, `aarch64`, `armv7l`."""
    kernel: str = ""
    """Release of the kernel."""
    kernel_machine: str = ""
    """Architecture of the kernel; a 64-bit kernel may carry a 32-bit userland."""
    boot_id: str = ""
    """Random name of the last start of the board."""
    agent_sha256: str = ""
    """Digest of the agent that answers."""
    python: str = ""
    """Version of the Python that runs the agent, such as `3.11.2`."""
    python_executable: str = ""
    """Path of that Python on the board."""
    libc: str = ""
    """C library and its version, such as `glibc 2.36` or `musl 1.2.4`."""
    implementation: str = ""
    """Name of the implementation of that Python, such as `cpython` or `pypy`; empty where it is not
    reported."""
    abi_flags: str = ""
    """Flags of its build: `t` is free-threaded, `d` is a debug build."""
    glibcxx: str = ""
    """Newest symbol version of libstdc++, such as `3.4.30`; empty where there is no libstdc++."""
    glibcxx_path: str = ""
    """Path of the libstdc++ that the login's LD_LIBRARY_PATH puts first; empty for the system's."""
    os: str = ""
    """Name of the operating system."""
    container: str = ""
    """Engine of the container that the agent runs in; empty outside of a container."""
    user: str = ""
    """Name of the user on the board."""
    sftp: Optional[bool] = None
    """Whether an SFTP server is installed; `None` where it is not reported."""
    model: str = ""
    """Name of the board or, on a PC, of its CPU."""
    compatible: Tuple[str, ...] = ()
    """Names of the board in the device tree, the most special first."""
    cores: int = 0
    """Number of cores that the user may use."""
    core_classes: Tuple[CoreClass, ...] = ()
    """Kinds of core, the strongest first."""
    cpu_features: Tuple[str, ...] = ()
    """Names in `device_agent.contract.cpu_features.CPU_FEATURES` that the CPU reports."""
    page_bytes: int = 0
    """Size of a memory page."""
    memory_bytes: int = 0
    """Size of the memory."""
    memory_limit_bytes: int = 0
    """Memory that the control group of the login may use; 0 for no limit."""
    cpu_quota: float = 0.0
    """Number of cores whose time the control group of the login may use; 0 for no limit."""
    emulated: bool = False
    """Whether an ARM userland runs on an x86 CPU, where a latency means nothing."""
    accelerators: Tuple[Accelerator, ...] = ()
    """Accelerators of the board."""
    installed: Mapping[str, str] = field(default_factory=dict)
    """Versions of the packages that matter, by name, of those that the Python has."""
    board_runtimes: Tuple[BoardRuntime, ...] = ()
    """Runtimes that the Python has of its own, and TensorRT."""
    plain: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """JSON from which the facts were read, for what is stored and printed."""

    @property
    def python_minor(self) -> int:
        """Minor version of the Python 3; 0 where none is reported."""
        minor = self.python.split(".")[1:2]
        return int(minor[0]) if minor and minor[0].isdecimal() else 0


def facts_from_json(plain: Mapping[str, Any]) -> Facts:
    """Read `Facts`; a value that is missing or has another type counts as not reported.

    Args:
        plain: JSON object that an agent, a probe or a stored result holds.
    """
    plain = on_one_line(plain)
    values = _fields_of(Facts(), plain)
    installed = plain.get("installed")
    return Facts(
        **{
            **values,
            "sftp": plain["sftp"] if isinstance(plain.get("sftp"), bool) else None,
            "compatible": _strings(plain.get("compatible")),
            "cpu_features": _strings(plain.get("cpu_features")),
            "core_classes": tuple(
                CoreClass(**{**_fields_of(CoreClass(), entry), "cores": _numbers(entry)})
                for entry in _objects(plain.get("core_classes"))
            ),
            "accelerators": tuple(
                Accelerator(**_fields_of(Accelerator(), entry))
                for entry in _objects(plain.get("accelerators"))
            ),
            "board_runtimes": tuple(
                BoardRuntime(**_fields_of(BoardRuntime(), entry))
                for entry in _objects(plain.get("board_runtimes"))
            ),
            "installed": {
                name: version
                for name, version in (installed if isinstance(installed, dict) else {}).items()
                if isinstance(version, str)
            },
            "plain": plain,
        }
    )


def _fields_of(default: Any, plain: Mapping[str, Any]) -> Dict[str, Any]:
    """Texts, numbers and flags in `plain` that have the type of that field's default value."""
    return {
        name: plain[name]
        for name, value in vars(default).items()
        if type(value) in (str, int, float, bool)
        and type(plain.get(name)) is type(value)
        and (isinstance(value, str) or 0 <= plain[name] < _MOST.get(name, 1 << 62))
    }


def _strings(value: Any) -> Tuple[str, ...]:
    return tuple(entry for entry in _list(value) if isinstance(entry, str))


def _objects(value: Any) -> List[Dict[str, Any]]:
    return [entry for entry in _list(value) if isinstance(entry, dict)]


def _numbers(entry: Mapping[str, Any]) -> Tuple[int, ...]:
    return tuple(number for number in _list(entry.get("cores")) if type(number) is int)


def _list(value: Any) -> List[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []
