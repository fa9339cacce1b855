"""The boards themselves: a real client logs in, and nothing is left when they have ended."""

import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import arm64_root
from tests.boards import BoardUnderTest, require_board_parts, ssh_command, start_board
from toolkit.demo.keeper import descendants

REPOSITORY = Path(__file__).parents[1]
REMOTE = ["ssh", pytest.param("arm64", marks=pytest.mark.arm64)]


def log_in(board: BoardUnderTest, command: str) -> str:
    assert board.identity is not None
    assert board.host_public_key is not None
    ssh = ssh_command(board.address, board.identity, board.host_public_key)
    done = subprocess.run([*ssh, command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def mounts() -> set[str]:
    """Mounts that a board could have made; other tests mount disks of their own."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return {line for line in lines if "kedge-" in line}


def alive(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue
        if status.rpartition(")")[2].split()[0] != "Z":
            found.append(pid)
    return found


def test_the_ssh_board_is_this_computer(ssh_board: BoardUnderTest) -> None:
    assert log_in(ssh_board, "uname -m").strip() == platform.machine()
    assert re.match(r"Python 3\.\d+", log_in(ssh_board, "python3 -V"))


@pytest.mark.arm64
def test_the_arm64_board_is_another_computer(arm64_board: BoardUnderTest) -> None:
    assert log_in(arm64_board, "uname -m") == "aarch64\n"
    assert log_in(arm64_board, "python3 -V").startswith("Python 3.11.")
    assert log_in(arm64_board, "python3 -m pip -V 2>&1 || true").endswith("No module named pip\n")


@pytest.mark.arm64
def test_the_arm64_board_has_no_sys_and_sees_its_own_processes_only(
    arm64_board: BoardUnderTest,
) -> None:
    assert log_in(arm64_board, "ls -A /sys") == ""
    pids = log_in(arm64_board, "ls /proc | grep -c '^[0-9]'")
    assert int(pids) < 10


@pytest.mark.arm64
def test_the_arm64_board_writes_to_its_disk_only(arm64_board: BoardUnderTest) -> None:
    script = (
        "for f in /srv /root /tmp /dev/shm /etc /usr; do touch $f/t 2>&- && echo $f; done; rm -f"
    )
    assert log_in(arm64_board, script).split() == ["/srv", "/root", "/tmp", "/dev/shm"]


@pytest.mark.arm64
def test_the_arm64_board_has_the_devices_that_programs_use(arm64_board: BoardUnderTest) -> None:
    program = (
        "import multiprocessing, os, pty; multiprocessing.Lock(); print(len(os.urandom(8)));"
        "print(os.ttyname(pty.openpty()[1])); print(open('/dev/zero', 'rb').read(1))"
    )
    expected = ["8", "/dev/pts/0", "b'\\x00'"]
    assert log_in(arm64_board, f'python3 -c "{program}"').split() == expected


def test_the_root_is_writable_and_seen_from_both_sides(board: BoardUnderTest) -> None:
    (board.root_on_host / "from_host").write_text("here")
    try:
        if board.kind == "local":
            assert board.root == str(board.root_on_host)
        else:
            assert log_in(board, f"cat {board.root}/from_host") == "here"
    finally:
        (board.root_on_host / "from_host").unlink()


@pytest.mark.parametrize("kind", REMOTE)
def test_nothing_is_left_of_a_board_that_ended(kind: str) -> None:
    before = mounts()
    with start_board(kind) as board:
        assert not list(board.root_on_host.iterdir())
        assert board.identity is not None
        assert board.host_public_key is not None
        assert board.keeper_pid is not None
        ssh = ssh_command(board.address, board.identity, board.host_public_key)
        script = "sleep 8650 & setsid sleep 8651 & echo ready; exec sleep 8652"
        client = subprocess.Popen([*ssh, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        below = descendants(board.keeper_pid)
        assert mounts() == before
    client.communicate()

    assert len(below) >= 5
    assert alive([board.keeper_pid, *below]) == []
    assert mounts() == before
    assert not board.root_on_host.exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(board.address.rpartition(":")[2]))) != 0


@pytest.mark.parametrize("kind", REMOTE)
def test_no_process_of_a_board_outlives_killed_tests(kind: str) -> None:
    require_board_parts(kind)
    program = (
        "import sys, time; from tests.boards import start_board\n"
        "with start_board(sys.argv[1]) as b:\n"
        "    print(b.keeper_pid, b.root_on_host.parent, flush=True); time.sleep(8653)\n"
    )
    before = mounts()
    killed = subprocess.Popen(
        [sys.executable, "-c", program, kind], stdout=subprocess.PIPE, cwd=REPOSITORY
    )
    with killed:
        assert killed.stdout is not None
        keeper, folder = killed.stdout.readline().decode().split()
        below = descendants(int(keeper))
        killed.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while alive([int(keeper), *below]) and time.monotonic() < deadline:
        time.sleep(0.05)

    assert below
    assert alive([int(keeper), *below]) == []
    assert mounts() == before
    # Only the folder remains, as the one who would remove it was killed.
    shutil.rmtree(folder)


def test_a_missing_part_skips_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEDGE_REQUIRE_BOARDS", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(pytest.skip.Exception, match="missing: root"):
        require_board_parts("arm64")


def test_a_missing_part_fails_where_boards_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDGE_REQUIRE_BOARDS", "1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(pytest.fail.Exception, match="missing: root"):
        require_board_parts("arm64")


def test_the_cached_root_is_named_by_its_recipe(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KEDGE_TEST_CACHE", str(tmp_path))
    before = arm64_root.cached_root()
    monkeypatch.setattr(arm64_root, "PACKAGES", (*arm64_root.PACKAGES, "another"))

    assert before.parent == tmp_path
    assert arm64_root.cached_root() != before


def test_a_failed_build_leaves_no_root_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    require_board_parts("arm64")
    monkeypatch.setenv("KEDGE_TEST_CACHE", str(tmp_path))
    monkeypatch.setattr(arm64_root, "SUITE", "no-such-suite")

    with pytest.raises(arm64_root.Arm64RootError, match="debootstrap .* ended with"):
        arm64_root.ensure_root()

    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
