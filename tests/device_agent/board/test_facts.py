"""What a board is, read from trees that stand for boards which are not here."""

import os
import platform
import struct
import sys
from pathlib import Path

import pytest

from device_agent.board import facts as facts_module
from device_agent.board.facts import is_emulated, read_facts, userland
from tests.device_agent.board_trees import (
    BIG_LITTLE,
    BOARDS,
    GARBAGE,
    JETSON,
    NOTHING,
    RASPBERRY_PI_4,
    X86_CPUINFO,
    make_tree,
    usb_edgetpu,
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


def test_cores_come_in_classes_the_strongest_first(tmp_path: Path) -> None:
    classes = read_facts(make_tree(tmp_path, BOARDS["rock-pi-4"]))["core_classes"]

    assert [(one["name"], one["cores"]) for one in classes] == [
        ("Cortex-A72", [4, 5]),
        ("Cortex-A53", [0, 1, 2, 3]),
    ]
    assert [(one["capacity"], one["max_khz"]) for one in classes] == [
        (1024, 1800000),
        (485, 1416000),
    ]


def test_cores_of_one_kind_with_different_clocks_are_two_classes(tmp_path: Path) -> None:
    classes = read_facts(make_tree(tmp_path, BOARDS["rk3588"]))["core_classes"]

    assert [(one["name"], len(one["cores"])) for one in classes] == [
        ("Cortex-A76", 2),
        ("Cortex-A76", 2),
        ("Cortex-A55", 4),
    ]


def test_an_old_kernel_tells_the_part_once_for_all_cores(tmp_path: Path) -> None:
    text = (
        "Processor\t: ARMv7 Processor rev 3 (v7l)\nprocessor\t: 0\nBogoMIPS\t: 36.00\n\n"
        "processor\t: 1\nBogoMIPS\t: 36.00\n\nFeatures\t: swp half neon vfpv4\n"
        "CPU implementer\t: 0x41\nCPU part\t: 0xc07\n"
    )
    seen = read_facts(make_tree(tmp_path, {"proc/cpuinfo": text}))

    assert [(one["name"], one["cores"]) for one in seen["core_classes"]] == [("Cortex-A7", [0, 1])]
    assert seen["cpu_features"] == ["vfpv4", "neon"]


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("raspberry-pi-1-zero", []),
        ("beaglebone-black", ["vfpv3", "neon"]),
        ("odroid-xu4", ["vfpv3", "vfpv4", "neon"]),
        ("raspberry-pi-4", ["fp", "asimd"]),
        ("raspberry-pi-5", ["fp", "asimd", "asimddp", "fphp", "asimdhp"]),
    ],
)
def test_the_features_that_decide_are_told(tmp_path: Path, name: str, features: list[str]) -> None:
    assert read_facts(make_tree(tmp_path, BOARDS[name]))["cpu_features"] == features


def test_a_device_tree_is_read_name_by_name(tmp_path: Path) -> None:
    seen = read_facts(make_tree(tmp_path, BOARDS["raspberry-pi-5"]))

    assert seen["model"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert seen["compatible"] == ["raspberrypi,5-model-b", "brcm,bcm2712"]


@pytest.mark.parametrize(
    ("vendor", "product", "state"),
    [("1a6e", "089a", "before its first use"), ("18d1", "9302", "ready")],
)
def test_a_usb_edgetpu_is_known_in_both_its_states(
    tmp_path: Path, vendor: str, product: str, state: str
) -> None:
    seen = read_facts(make_tree(tmp_path, usb_edgetpu(vendor, product, 5000)))

    assert seen["accelerators"] == [
        {
            "kind": "edgetpu-usb",
            "path": "/sys/bus/usb/devices/2-1",
            "usable": True,
            "state": state,
            "node": "/dev/bus/usb/002/003",
            "usb_mbits": 5000,
        }
    ]


def test_npus_are_known_by_their_nodes(tmp_path: Path) -> None:
    tree = {"dev/ethosu0": "", "dev/apex_0": "", "dev/apex_1": ""}
    found = read_facts(make_tree(tmp_path, tree))["accelerators"]

    assert [(one["kind"], one["path"]) for one in found] == [
        ("edgetpu-pcie", "/dev/apex_0"),
        ("edgetpu-pcie", "/dev/apex_1"),
        ("ethos-u", "/dev/ethosu0"),
    ]


@pytest.mark.parametrize(
    ("tree", "container"),
    [
        ({".dockerenv": ""}, "docker"),
        ({"run/.containerenv": ""}, "podman"),
        ({"run/systemd/container": "lxc\n"}, "lxc"),
        ({}, ""),
    ],
)
def test_a_container_is_known(tmp_path: Path, tree: dict[str, str], container: str) -> None:
    assert read_facts(make_tree(tmp_path, tree))["container"] == container


def test_the_init_and_the_sftp_server_are_told(tmp_path: Path) -> None:
    tree = {"proc/1/comm": "systemd\n", "usr/lib/openssh/sftp-server": ""}
    seen = read_facts(make_tree(tmp_path, tree))

    assert (seen["init"], seen["sftp"]) == ("systemd", True)
    assert read_facts(str(tmp_path / "none"))["sftp"] is False


def test_musl_tells_its_version_by_its_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_tree(tmp_path, {"lib/ld-musl-aarch64.so.1": "#!/bin/sh\n"
        "printf 'musl libc (aarch64)\\nVersion 1.2.4\\n' >&2; exit 1\n"})  # fmt: skip
    Path(root, "lib/ld-musl-aarch64.so.1").chmod(0o755)
    monkeypatch.setattr(os, "confstr", lambda name: None)

    assert read_facts(root)["libc"] == "musl 1.2.4"


def libstdcxx(folder: Path, newest: int, word: int = 2) -> str:
    folder.mkdir(parents=True)
    content = b"\x7fELF" + bytes([word]) + b"\0GLIBCXX_3.4.%d\0" % newest
    (folder / "libstdc++.so.6").write_bytes(content)
    return str(folder)


def test_the_libstdcxx_of_the_library_path_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libstdcxx(tmp_path / "usr/lib64", 30)
    old, other_word = libstdcxx(tmp_path / "opt/old", 19), libstdcxx(tmp_path / "opt/x32", 12, 1)
    assert old.startswith(str(tmp_path))

    monkeypatch.setenv("LD_LIBRARY_PATH", "::/opt/none:/opt/x32:/opt/old:/usr/lib64")
    facts = read_facts(str(tmp_path))
    assert (facts["glibcxx"], facts["glibcxx_path"]) == ("3.4.19", "/opt/old/libstdc++.so.6")

    monkeypatch.setenv("LD_LIBRARY_PATH", other_word)
    facts = read_facts(str(tmp_path))
    assert (facts["glibcxx"], facts["glibcxx_path"]) == ("3.4.30", "")


def test_a_python_without_affinity_counts_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")

    assert read_facts()["cores"] == os.cpu_count()
