"""Limits of a control group: version 1, version 2, both at once, and inside of a container."""

from pathlib import Path

import pytest

from device_agent.board.cgroup import read_limits, throttled_periods
from tests.device_agent.board_trees import make_tree

QUARTER = {"cpu.cfs_quota_us": "25000", "cpu.cfs_period_us": "100000"}
STOPS = "nr_periods 128\nnr_throttled 113\nthrottled_time 9"


def tree(own: str, files: dict[str, str]) -> dict[str, str]:
    return {
        "proc/self/cgroup": own,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }


V2 = tree(
    "0::/user.slice/board.scope\n",
    {
        "user.slice/board.scope/cpu.max": "25000 100000",
        "user.slice/board.scope/cpu.stat": STOPS,
        "user.slice/board.scope/memory.max": "max",
        "user.slice/memory.max": "94371840",
        "user.slice/cpu.max": "max 100000",
    },
)
V1 = tree(
    "4:memory:/board\n3:cpuset:/\n2:cpu,cpuacct:/board\n1:name=systemd:/x\n",
    {
        **{f"cpu,cpuacct/board/{name}": text for name, text in QUARTER.items()},
        "cpu,cpuacct/board/cpu.stat": STOPS,
        "memory/board/memory.limit_in_bytes": "94371840",
        "memory/memory.limit_in_bytes": "9223372036854771712",
    },
)
CONTAINER_V1 = tree(
    "2:cpu:/docker/0123\n4:memory:/docker/0123\n",
    {
        **{f"cpu/{name}": text for name, text in QUARTER.items()},
        "cpu/cpu.stat": STOPS,
        "memory/memory.limit_in_bytes": "94371840",
    },
)
CONTAINER_V2 = tree(
    "0::/\n", {"cpu.max": "25000 100000", "cpu.stat": STOPS, "memory.max": "94371840"}
)
HYBRID = tree(
    "2:cpu:/board\n3:memory:/board\n0::/board\n",
    {
        **{f"cpu/board/{name}": text for name, text in QUARTER.items()},
        "cpu/board/cpu.stat": STOPS,
        "memory/board/memory.limit_in_bytes": "94371840",
        "unified/board/cgroup.procs": "1",
    },
)


@pytest.mark.parametrize("files", [V1, V2, CONTAINER_V1, CONTAINER_V2, HYBRID])
def test_limits_are_read(tmp_path: Path, files: dict[str, str]) -> None:
    root = make_tree(tmp_path, files)

    assert read_limits(root) == {"cpu_quota": 0.25, "memory_limit_bytes": 90 << 20}
    assert throttled_periods(root) == 113


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": ""},
        {"proc/self/cgroup": "garbage\n::\n0::/../../etc\n"},
        tree("0::/\n", {"cpu.max": "max 100000", "memory.max": "max"}),
        tree("2:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}),
        tree("0::/\n", {"cpu.max": "1 0", "memory.max": "-5", "cpu.stat": "nr_throttled x"}),
    ],
)
def test_a_board_without_limits_has_none(tmp_path: Path, files: dict[str, str]) -> None:
    root = make_tree(tmp_path, files)

    assert read_limits(root) == {"cpu_quota": 0.0, "memory_limit_bytes": 0}
    assert throttled_periods(root) is None
