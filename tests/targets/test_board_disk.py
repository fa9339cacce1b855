"""A board's disk that is read-only, full, or fills up: said in time, and nothing is left behind."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from targets.agent_archive import agent_archive
from targets.agent_client import BoardDiskError
from targets.inventory import Target
from targets.provision import open_device
from tests.device_agent.agents import files_below
from tests.targets.small_disk import small_disk

AGENT_FILE = f"agent/{agent_archive().sha256}.pyz"


@pytest.fixture
def here(tmp_path: Path) -> Target:
    return Target("here", "local", root=str(tmp_path / "root"))


def write(folder: Path, size: int, name: str = "model.tflite") -> Path:
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


def test_a_read_only_root(here: Target) -> None:
    root = Path(here.root)
    with small_disk(root, "ro"):
        with pytest.raises(BoardDiskError, match="cannot be written") as refused, open_device(here):
            pytest.fail("it opened")
        assert "kedge.toml" in refused.value.hint
        assert list(root.iterdir()) == []


def test_a_disk_that_became_read_only_gets_no_byte(here: Target, tmp_path: Path) -> None:
    root = Path(here.root)
    sent: list[int] = []
    with small_disk(root, "size=64m"):
        with open_device(here) as device:
            device.push(write(tmp_path, 1000, "small"))
        subprocess.run(["mount", "-o", "remount,ro", root], check=True)
        with open_device(here) as device, pytest.raises(BoardDiskError, match="read-only"):
            device.push(write(tmp_path, 6_000_000), lambda _, done, __: sent.append(done))
    assert not any(sent)


def test_a_disk_that_is_full_for_the_agent(here: Target) -> None:
    root = Path(here.root)
    with small_disk(root, "size=12k"):
        with (
            pytest.raises(BoardDiskError, match="did not take the agent") as refused,
            open_device(here),
        ):
            pytest.fail("it opened")
        assert "Free some space" in refused.value.hint
        assert files_below(root) == []


def test_a_disk_that_is_too_small_for_a_file(here: Target, tmp_path: Path) -> None:
    root = Path(here.root)
    with small_disk(root, "size=8m"):
        with open_device(here) as device:
            with pytest.raises(BoardDiskError, match="bytes are needed") as refused:
                device.push(write(tmp_path, 6_000_000))
            staged = device.push(write(tmp_path, 1000, "small"))
        assert "Free some space" in refused.value.hint
        assert files_below(root) == sorted([AGENT_FILE, f"store/scratch/{staged.sha256}"])


def test_a_disk_that_fills_up_meanwhile(here: Target, tmp_path: Path) -> None:
    root = Path(here.root)
    with small_disk(root, "size=10m"), open_device(here) as device:

        def fill(what: str, done: int, total: int) -> None:
            if done > total / 2 and not (root / "other").exists():
                with contextlib.suppress(OSError), (root / "other").open("wb") as file:
                    file.write(bytes(16_000_000))

        with pytest.raises(BoardDiskError, match="No space left"):
            device.push(write(tmp_path, 5_000_000), fill)
        (root / "other").unlink()
        assert files_below(root) == [AGENT_FILE]
        device.push(write(tmp_path, 1000, "small"))  # the conversation goes on
