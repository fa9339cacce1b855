"""What a board is doing, read from trees that stand for boards which are not here."""

import time
from pathlib import Path

import pytest

from device_agent.board import conditions as conditions_module
from device_agent.board.conditions import read_conditions
from device_agent.contract.conditions import Conditions, conditions_from_json
from tests.device_agent.board_trees import (
    BIG_LITTLE,
    CORAL,
    CORAL_STICK,
    GARBAGE,
    JETSON,
    JETSON_POWER,
    NOTHING,
    ONE_RAIL,
    RASPBERRY_PI_4,
    make_tree,
)


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are sought."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def add_program(folder: Path, script: str) -> None:
    path = folder / "vcgencmd"
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)


def timeless(seen: Conditions) -> Conditions:
    return seen._replace(clock_ns=0, monotonic_ns=0)


def test_a_raspberry_pi(tmp_path: Path, programs: Path) -> None:
    add_program(programs, '[ "$1" = get_throttled ] && echo throttled=0x50005\n')

    assert timeless(read_conditions(make_tree(tmp_path / "pi", RASPBERRY_PI_4))) == Conditions(
        load_1min=0.52,
        running_tasks=2,
        memory_available_bytes=3_400_000 * 1024,
        swap_used_bytes=2396 * 1024,
        governors=["ondemand"],
        frequency_khz={f"cpu{number}": 600_000 for number in range(4)},
        max_frequency_khz={f"cpu{number}": 1_500_000 for number in range(4)},
        temperature_celsius={"cpu-thermal": 52.582},
        trip_celsius={"cpu-thermal": 85.0},
        cooling={"cpufreq-cpu0-0": 2},
        time_in_state={"policy0": {"600000": 5000, "1500000": 70}},
        boot_id="5f2c",
        oom_kills=3,
        throttled=0x50005,
    )


def test_the_firmware_is_asked_only_where_it_may_take_its_time(
    tmp_path: Path, programs: Path
) -> None:
    add_program(programs, "echo throttled=0x1\n")

    assert read_conditions(str(tmp_path)).throttled == 1
    assert read_conditions(str(tmp_path), "begin", ask_firmware=False).throttled is None
    assert read_conditions(str(tmp_path), "begin", ask_firmware=False).moment == "begin"


def test_a_jetson_tells_what_it_draws(tmp_path: Path) -> None:
    seen = read_conditions(make_tree(tmp_path / "jetson", JETSON_POWER))

    assert seen.power_mw == {"VDD_IN": 6000.0, "VDD_CPU_GPU_CV": 1240.0}


def test_a_power_monitor_of_one_channel_is_read(tmp_path: Path) -> None:
    assert read_conditions(make_tree(tmp_path / "board", ONE_RAIL)).power_mw == {"ina226": 2500.0}


def test_an_edge_tpu_on_pcie_is_a_zone(tmp_path: Path) -> None:
    seen = read_conditions(make_tree(tmp_path / "coral", CORAL))

    assert seen.temperature_celsius == {"apex_0": 56.05}
    assert seen.trip_celsius == {"apex_0": 85.0}


def test_the_speed_of_an_edge_tpu_stick_is_read_and_of_no_other_device(tmp_path: Path) -> None:
    assert read_conditions(make_tree(tmp_path / "pi", CORAL_STICK)).edgetpu_usb_mbps == 480
    assert read_conditions(make_tree(tmp_path / "none", NOTHING)).edgetpu_usb_mbps is None


def test_a_jetson_whose_zone_is_switched_off(tmp_path: Path) -> None:
    seen = read_conditions(make_tree(tmp_path / "jetson", JETSON))

    assert seen.temperature_celsius == {"cpu-thermal": 48.5, "gpu-thermal": -256.0}
    assert seen.swap_used_bytes == 0
    assert seen.throttled is None


def test_a_board_of_two_clusters(tmp_path: Path) -> None:
    seen = read_conditions(make_tree(tmp_path / "rock", BIG_LITTLE))

    assert seen.governors == ["performance", "schedutil"]
    assert seen.max_frequency_khz == {"cpu0": 1_800_000, "cpu4": 2_400_000, "cpu10": 2_400_000}
    assert seen.temperature_celsius == {"soc-thermal": 40.0, "soc-thermal-1": 41.0}


def test_a_board_that_tells_nothing(tmp_path: Path) -> None:
    assert timeless(read_conditions(make_tree(tmp_path / "none", NOTHING))) == Conditions()


def test_a_board_that_tells_nonsense(tmp_path: Path) -> None:
    assert timeless(read_conditions(make_tree(tmp_path / "odd", GARBAGE))) == Conditions()


@pytest.mark.parametrize(
    "script", ["exit 1\n", "echo hello\n", "echo throttled=maybe\n", "echo a=b=c\n", "kill -9 $$\n"]
)
def test_a_broken_vcgencmd_is_no_answer(tmp_path: Path, programs: Path, script: str) -> None:
    add_program(programs, script)

    assert read_conditions(str(tmp_path)).throttled is None


def test_a_vcgencmd_that_hangs_is_not_waited_for(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions_module, "_VCGENCMD_TIMEOUT_S", 0.2)
    add_program(programs, "exec /bin/sleep 60\n")
    began = time.monotonic()

    assert read_conditions(str(tmp_path)).throttled is None
    assert time.monotonic() - began < 30


def test_this_computer_tells_its_load() -> None:
    seen = read_conditions()

    assert seen.load_1min is not None
    assert seen.load_1min >= 0
    assert seen.running_tasks is not None
    assert seen.running_tasks >= 1
    assert seen.memory_available_bytes is not None
    assert seen.memory_available_bytes > 1 << 20


def test_they_travel_and_newer_fields_are_passed_over(tmp_path: Path) -> None:
    seen = read_conditions(make_tree(tmp_path / "pi", RASPBERRY_PI_4))

    assert conditions_from_json({**seen._asdict(), "humidity": 0.4}) == seen
