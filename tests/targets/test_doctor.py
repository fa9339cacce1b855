"""The doctor: what is predicted of a board before anything is sent, with a cause and a fix."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from device_agent.board.facts import read_facts
from device_agent.contract.facts import facts_from_json
from targets.doctor import (
    BLOCKS,
    CAUTION,
    NOT_READY,
    READY,
    WARNS,
    Diagnosis,
    FirstUse,
    WheelToSend,
    diagnose,
    require_files,
    require_space,
)
from targets.probe import Probe, Python, read_probe
from tests.device_agent.board_trees import BOARDS, make_tree, usb_edgetpu

NO_PACKAGES = {"numpy": None, "ai_edge_litert": None, "tflite_runtime": None}
BOOKWORM = {"libc": "glibc 2.36", "glibcxx": "3.4.30", "os": "Debian GNU/Linux 12 (bookworm)"}


def python(minor: int, numpy: str | None = None, **more: Any) -> Python:
    installed = {**NO_PACKAGES, "numpy": numpy}
    return Python((3, minor), f"/usr/bin/python3.{minor}", installed=installed, **more)


def board(tree: Path, *pythons: Python, machine: str = "aarch64", **facts: Any) -> Probe:
    """A board as its probe sees it; what the tree does not tell is bookworm's, and roomy."""
    told = {**read_facts(str(tree)), **BOOKWORM, "kernel_machine": machine, "machine": machine}
    return Probe(
        machine=machine,
        root="/home/pi/.local/share/kedge",
        writable=True,
        free_bytes=8 << 30,
        has_agent=False,
        pythons=pythons or (python(11),),
        facts=facts_from_json({**told, "page_bytes": 4096, "memory_bytes": 4 << 30, **facts}),
    )


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    return Path(make_tree(tmp_path / "pi", BOARDS["raspberry-pi-4"]))


def said(found: Diagnosis, level: str) -> str:
    return "\n".join(
        f"{entry.cause} -> {entry.fix}" for entry in found.findings if entry.level == level
    )


def chosen(found: Diagnosis) -> tuple[str, tuple[int, int]] | None:
    if found.choice is None or found.python is None:
        return None
    return f"{found.choice.distribution} {found.choice.version}", found.python.version


def test_a_board_with_all_it_needs_is_ready(pi: Path) -> None:
    found = diagnose(board(pi), "tflite")

    assert found.verdict == READY
    assert found.findings == ()
    assert chosen(found) == ("ai-edge-litert 2.3.0", (3, 11))
    assert found.profile is not None
    assert found.profile.id == "raspberry-pi-4"


@pytest.mark.parametrize(
    ("pythons", "expected"),
    [
        # the newest is not the best: nothing exists for it
        ([python(15), python(11)], ("ai-edge-litert 2.3.0", (3, 11))),
        ([python(9), python(13)], ("ai-edge-litert 2.3.0", (3, 13))),
        ([python(8), python(9)], ("ai-edge-litert 2.1.0", (3, 9))),
        # among equals the first that was found: the system's own `python3`
        ([python(11), python(12)], ("ai-edge-litert 2.3.0", (3, 11))),
        ([python(12, lacks=("zlib",)), python(10)], ("ai-edge-litert 2.3.0", (3, 10))),
        ([Python((3, 6), "/usr/bin/python3.6"), python(8)], ("tflite-runtime 2.13.0", (3, 8))),
    ],
)
def test_the_python_that_gets_the_best_runtime_is_chosen(
    pi: Path, pythons: list[Python], expected: tuple[str, tuple[int, int]]
) -> None:
    assert chosen(diagnose(board(pi, *pythons), "tflite")) == expected


def test_on_32_bit_arm_the_python_with_numpy_1_is_chosen(pi: Path) -> None:
    pythons = [python(11, "2.1.0"), python(10), python(9, "1.19.5")]
    found = diagnose(board(pi, *pythons, machine="armv7l", kernel_machine="aarch64"), "tflite")

    assert chosen(found) == ("tflite-runtime 2.14.0", (3, 9))
    assert "int8" in said(found, WARNS)
    assert "64-bit image" in said(found, WARNS)


@pytest.mark.parametrize(
    ("name", "facts", "minor", "cause", "fix"),
    [
        (
            "raspberry-pi-4",
            {"machine": "armv7l", "kernel_machine": "aarch64"},
            12,
            "armv7l with Python 3.12: no runtime exists",
            "64-bit image",
        ),
        (
            "odroid-xu4",
            {"machine": "armv7l"},
            12,
            "armv7l with Python 3.12: no runtime exists",
            "Python 3.7 to 3.11",
        ),
        ("beaglebone-black", {"machine": "armv7l"}, 9, "no vfpv4", "newer core"),
        ("raspberry-pi-1-zero", {"machine": "armv6l"}, 11, "armv6l: no runtime", "64-bit ARM"),
        ("raspberry-pi-3", {"libc": "musl 1.2.4"}, 11, "musl 1.2.4", "not musl"),
        ("raspberry-pi-3", {"libc": "glibc 2.26"}, 11, "glibc 2.26", "newer glibc"),
        ("raspberry-pi-3", {}, 15, "aarch64 with Python 3.15", "3.7 to 3.14"),
        ("odroid-xu4", {"machine": "armv7l"}, 10, "has no numpy", "python3-numpy"),
    ],
)
def test_a_board_on_which_nothing_loads(
    tmp_path: Path, name: str, facts: dict[str, Any], minor: int, cause: str, fix: str
) -> None:
    tree = Path(make_tree(tmp_path, BOARDS[name]))
    found = diagnose(board(tree, python(minor), **facts), "tflite")
    blocks = [entry for entry in found.findings if entry.level == BLOCKS]

    assert found.verdict == NOT_READY
    assert found.choice is None
    assert len(blocks) == 1
    assert cause in blocks[0].cause
    assert fix in blocks[0].fix
    assert all(entry.refusal for entry in found.runtimes if entry.runtime.format == "tflite")


def test_numpy_2_on_32_bit_arm_is_the_cause(tmp_path: Path) -> None:
    tree = Path(make_tree(tmp_path, BOARDS["odroid-xu4"]))
    found = diagnose(board(tree, python(11, "2.1.0"), machine="armv7l"), "tflite")

    assert "has numpy 2.1.0" in said(found, BLOCKS)
    assert "numpy 1" in said(found, BLOCKS)


def test_the_cpu_of_an_emulator_is_not_judged(tmp_path: Path) -> None:
    tree = Path(make_tree(tmp_path, BOARDS["beaglebone-black"]))
    seen = board(tree, python(9, "1.19.5"), machine="armv7l", emulated=True)
    found = diagnose(seen, "tflite")

    assert chosen(found) == ("tflite-runtime 2.14.0", (3, 9))
    assert "never VALID" in said(found, WARNS)


def test_the_boards_own_runtime_is_used_where_no_other_loads(pi: Path) -> None:
    own = {"name": "tflite-runtime", "version": "2.9.1", "path": "/usr/lib/python3"}
    found = diagnose(board(pi, python(15), python(15, "1.26.4", runtimes=(own,))), "tflite")

    assert chosen(found) == ("board:tflite-runtime 2.9.1", (3, 15))
    assert found.verdict == CAUTION
    assert "the board's own tflite-runtime 2.9.1 will be used" in said(found, WARNS)
    assert "no runtime exists" in said(found, WARNS)


def test_a_runtime_that_is_wanted_and_does_not_load_is_named(pi: Path) -> None:
    found = diagnose(board(pi, python(13)), "tflite", "tflite-runtime")

    assert found.verdict == NOT_READY
    assert "builds for Python 3.9 to 3.11 only" in said(found, BLOCKS)


@pytest.mark.parametrize(
    ("change", "cause", "fix"),
    [
        ({"writable": False}, "cannot be written", "`root`"),
        ({"writable": False, "keeps_files": False}, "keeps no files", "`root`"),
        ({"mount_options": ("rw", "noexec")}, "mounted noexec", "`root`"),
        ({"pythons": ()}, "needs Python 3.7 or newer", "apt-get install python3"),
        ({"pythons": (python(10, lacks=("zlib",)),)}, "3.10 lacks zlib", "python3-modules"),
    ],
)
def test_what_stops_the_agent_is_told(
    pi: Path, change: dict[str, Any], cause: str, fix: str
) -> None:
    found = diagnose(replace(board(pi), **change), "tflite")

    assert found.verdict == NOT_READY
    assert cause in said(found, BLOCKS)
    assert fix in said(found, BLOCKS)


def test_little_memory_is_a_caution(pi: Path) -> None:
    found = diagnose(board(pi, memory_bytes=430 << 20), "tflite")

    assert found.verdict == CAUTION
    assert "430 MiB of memory" in said(found, WARNS)


@pytest.mark.parametrize(
    ("tree", "usable", "causes"),
    [
        (usb_edgetpu("1a6e", "089a", 5000), True, []),
        (usb_edgetpu("18d1", "9302", 480), True, ["480 Mbit/s"]),
        (usb_edgetpu("18d1", "9302", 5000), False, ["pi may not open", "plugdev"]),
        ({"dev/apex_0": "", "sys/class/apex/apex_0/temp": "40000"}, True, []),
        (
            {"sys/bus/pci/devices/0/vendor": "0x1ac1", "sys/bus/pci/devices/0/device": "0x089a"},
            False,
            ["no driver", "gasket-dkms"],
        ),
        (
            {
                "sys/bus/pci/devices/0/vendor": "0x1ac1",
                "sys/bus/pci/devices/0/device": "0x089a",
                "sys/class/apex/apex_0/temp": "40000",
            },
            False,
            ["no device node", "gasket-dkms"],
        ),
        ({"dev/galcore": ""}, True, []),
        ({"sys/bus/usb/devices/1-1/idVendor": "046d"}, True, []),
    ],
    ids=["first use", "usb 2", "group", "pcie", "no driver", "no node", "npu", "a mouse"],
)
def test_accelerators(
    tmp_path: Path, tree: dict[str, str], usable: bool, causes: list[str]
) -> None:
    folder = Path(make_tree(tmp_path, {**BOARDS["raspberry-pi-4"], **tree}))
    found = read_facts(str(folder))["accelerators"]
    entries = [{**entry, "usable": entry["usable"] and usable} for entry in found]
    diagnosis = diagnose(board(folder, accelerators=entries, user="pi"), "tflite")

    assert diagnosis.verdict == (CAUTION if causes else READY)
    for cause in causes:
        assert cause in said(diagnosis, WARNS)


def test_what_does_not_fit_on_the_disk_is_told_before_it_is_sent() -> None:
    wheels = (WheelToSend("ai-edge-litert 2.3.0", 14_379_387, is_exact=True),)
    first = FirstUse(66_000, wheels, has_agent=False, has_runtime=False)

    assert require_space(None, first) == []
    assert require_space(1 << 30, first) == []
    (found,) = require_space(50 << 20, first)
    assert found.level == BLOCKS
    assert "50 MiB are free" in found.cause


def test_a_disk_is_full_below_what_the_agent_leaves_to_others() -> None:
    nothing = FirstUse(0, (), has_agent=True, has_runtime=True)

    assert require_space(5 << 20, nothing) == []
    (found,) = require_space(1 << 20, nothing)
    assert found.level == BLOCKS
    assert "1 MiB are free, kedge needs 4 MiB" in found.cause


def test_what_a_shell_alone_tells_is_enough_to_say_why() -> None:
    seen = read_probe(
        "root=/root/kedge\nmachine=aarch64\nwritable=yes\nfree_kib=100000\nbits=1\n"
        "libc=musl libc (armhf) Version 1.2.4 Dynamic Program Loader\nmemory_kib=440000\ncores=4\n"
        "model=Raspberry Pi Zero 2 W Rev 1.0\ncompatible=raspberrypi,model-zero-2-w brcm,bcm2837 \n"
        "os=Alpine Linux v3.19\nkernel=6.6.8\nend=yes\n"
    )
    found = diagnose(seen, "tflite")

    assert found.facts.machine == "armv7l"
    assert found.facts.libc == "musl 1.2.4"
    assert found.facts.memory_bytes == 440000 * 1024
    assert found.profile is not None
    assert found.profile.id == "raspberry-pi-zero-2-w"
    assert found.verdict == NOT_READY
    assert "needs Python 3.7" in said(found, BLOCKS)
    assert "430 MiB of memory" in said(found, WARNS)


@pytest.mark.parametrize("value", ["[]", "5", "null", "{", '{"machine": 5}', "\u00b2"])
def test_garbage_from_a_board_is_no_crash(value: str) -> None:
    lines = f"root=/x\nfacts={value}\npython=3.9 /p\ninstalled={value}\nruntimes={value}\nend=yes\n"
    seen = read_probe(lines)

    assert seen.python.version == (3, 9)
    assert json.dumps(seen.facts_with(seen.python).plain)


@pytest.mark.parametrize(
    ("build", "what"),
    [
        ({"implementation": "pypy", "abi_flags": ""}, "the Python pypy"),
        ({"implementation": "graalpy", "abi_flags": ""}, "the Python graalpy"),
        ({"implementation": "cpython", "abi_flags": "t"}, "a free-threaded Python"),
        ({"implementation": "cpython", "abi_flags": "td"}, "a free-threaded Python"),
    ],
)
def test_no_wheel_fits_another_build_of_python(pi: Path, build: dict[str, str], what: str) -> None:
    found = diagnose(board(pi, python(13, build=build)), "tflite")

    assert found.verdict == NOT_READY
    assert what in said(found, BLOCKS)
    assert "CPython" in said(found, BLOCKS)
    assert all(what in str(verdict.refusal) for verdict in found.runtimes)


def test_the_usual_python_beside_pypy_is_chosen(pi: Path) -> None:
    pypy = python(11, build={"implementation": "pypy", "abi_flags": ""})
    usual = python(9, build={"implementation": "cpython", "abi_flags": ""})

    assert chosen(diagnose(board(pi, pypy, usual), "tflite")) == (
        "ai-edge-litert 2.1.0",
        (3, 9),
    )


def test_a_debug_build_takes_the_usual_wheels(pi: Path) -> None:
    debug = {"implementation": "cpython", "abi_flags": "d"}

    assert diagnose(board(pi, python(11, build=debug)), "tflite").verdict == READY
    assert "debug build" in said(diagnose(board(pi, python(7, build=debug)), "tflite"), BLOCKS)


def test_an_old_libstdcxx_in_the_library_path_is_named(pi: Path) -> None:
    path = "/opt/ros/lib/libstdc++.so.6"
    cause = f"LD_LIBRARY_PATH of the login puts {path} first"
    old = {"glibcxx": "3.4.19", "glibcxx_path": path}

    found = diagnose(board(pi, **old), "tflite")
    assert found.verdict == CAUTION
    assert f"ai-edge-litert 2.3.0 does not load: {cause}" in said(found, WARNS)

    found = diagnose(board(pi, python(13), **old), "tflite")
    assert found.verdict == NOT_READY
    assert cause in said(found, BLOCKS)


def test_limits_of_a_control_group_are_told(pi: Path) -> None:
    found = diagnose(board(pi, memory_limit_bytes=90 << 20, cpu_quota=0.25, cores=4), "tflite")

    assert found.verdict == CAUTION
    assert "90 MiB of memory" in said(found, WARNS)
    assert "the time of 0.25 cores" in said(found, WARNS)


def test_a_root_that_others_may_change_blocks(pi: Path) -> None:
    unsafe = replace(board(pi), unsafe_cause="/tmp/k belongs to the user x", unsafe_fix="Name one.")

    assert "belongs to the user x -> Name one." in said(diagnose(unsafe, "tflite"), BLOCKS)


def test_a_disk_that_takes_no_more_files_blocks() -> None:
    wheels = (WheelToSend("numpy 1.26.4", 1 << 20, is_exact=True),)
    first = FirstUse(agent_bytes=1, wheels=wheels, has_agent=False, has_runtime=False)
    ready = replace(first, wheels=(), has_runtime=True)

    assert require_files(-1, first) == []
    assert require_files(1 << 20, first) == []
    assert require_files(100, ready) == []
    for files, use in ((100, first), (0, ready)):
        (finding,) = require_files(files, use)
        assert finding.level == BLOCKS
        assert "df -i" in finding.fix
