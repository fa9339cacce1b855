"""What a board is, read from trees that stand for boards which are not here."""

import os
import platform
import struct
import sys
from pathlib import Path

import pytest

from device_agent import facts as facts_module
from device_agent.facts import is_emulated, read_facts, userland
from tests.device_agent.board_trees import (
    BIG_LITTLE,
    GARBAGE,
    JETSON,
    NOTHING,
    RASPBERRY_PI_4,
    X86_CPUINFO,
    make_tree,
)


@pytest.mark.parametrize(
    ("kernel", "bits", "programs_see"),
    [
        ("aarch64", 64, "aarch64"),
        ("aarch64", 32, "armv7l"),  # Raspberry Pi OS 32-bit starts a 64-bit kernel
        ("armv8l", 32, "armv7l"),
        ("armv7l", 32, "armv7l"),
        ("armv6l", 32, "armv6l"),
        ("x86_64", 64, "x86_64"),
        ("x86_64", 32, "i686"),
        ("riscv64", 64, "riscv64"),
    ],
)
def test_the_userland_decides(kernel: str, bits: int, programs_see: str) -> None:
    assert userland(kernel, bits) == programs_see


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "emulated"),
    [
        ("aarch64", X86_CPUINFO, True),
        ("armv7l", X86_CPUINFO.replace("GenuineIntel", "AuthenticAMD"), True),
        ("aarch64", RASPBERRY_PI_4["proc/cpuinfo"], False),
        ("aarch64", "", False),
        ("x86_64", X86_CPUINFO, False),
    ],
)
def test_an_x86_cpu_under_an_arm_userland_is_emulation(
    machine: str, cpuinfo: str, emulated: bool
) -> None:
    assert is_emulated(machine, cpuinfo) is emulated


@pytest.mark.parametrize(
    ("files", "model", "system", "glibcxx"),
    [
        (
            RASPBERRY_PI_4,
            "Raspberry Pi 4 Model B Rev 1.2",
            "Debian GNU/Linux 12 (bookworm)",
            "3.4.30",
        ),
        (JETSON, "NVIDIA Jetson Orin Nano Developer Kit", "Ubuntu 22.04.4 LTS", ""),
        (BIG_LITTLE, "Radxa ROCK 5B", "", ""),
        ({"proc/cpuinfo": X86_CPUINFO}, "Intel(R) Core(TM) i7 CPU", "", ""),
        (NOTHING, "", "", ""),
        (GARBAGE, "", "", ""),
    ],
    ids=["pi", "jetson", "rock", "x86", "nothing", "garbage"],
)
def test_a_board_is_recognised(
    tmp_path: Path, files: dict[str, str], model: str, system: str, glibcxx: str
) -> None:
    seen = read_facts(make_tree(tmp_path / "board", files))

    assert (seen["model"], seen["os"], seen["glibcxx"]) == (model, system, glibcxx)
    assert seen["emulated"] is False


@pytest.mark.parametrize("folder", ["usr/lib", "usr/lib64", "lib/arm-linux-gnueabihf"])
def test_libstdcxx_is_found_where_systems_keep_it(tmp_path: Path, folder: str) -> None:
    root = make_tree(tmp_path, {f"{folder}/libstdc++.so.6": "GLIBCXX_3.4.9 GLIBCXX_3.4.28"})

    assert read_facts(root)["glibcxx"] == "3.4.28"


def test_this_computer() -> None:
    seen = read_facts()

    assert seen["machine"] == userland(platform.machine(), struct.calcsize("P") * 8)
    assert seen["python"] == platform.python_version()
    assert seen["python_executable"] == sys.executable
    assert seen["cores"] == len(os.sched_getaffinity(0))
    assert seen["libc"].startswith("glibc 2.")
    assert seen["installed"]["ai_edge_litert"]


def test_another_c_library_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: str) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)
    assert read_facts()["libc"] == ""


@pytest.mark.parametrize(
    ("info", "version"),
    [
        ("numpy-1.24.2.dist-info", "1.24.2"),
        ("numpy-1.24.2.egg-info", "1.24.2"),
        ("numpy-1.17.4-py3.8.egg-info", "1.17.4"),
        ("other-1.0.dist-info", "unknown"),
    ],
)
def test_the_version_of_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, info: str, version: str
) -> None:
    make_tree(tmp_path, {"numpy/__init__.py": "raise ImportError", f"{info}/x": ""})
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "numpy", raising=False)

    assert facts_module._installed_version("numpy") == version
    assert facts_module._installed_version("no_such_package") is None
