"""A board's disk that is read-only, full, or fills up: said in time, and nothing is left behind."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from device_agent.contract.codes import LIMIT, NO_SPACE, READ_ONLY, STORAGE
from targets.agent_archive import agent_archive
from targets.board_disk import BoardDiskError, disk_error_of_words
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
        with pytest.raises(
            BoardDiskError, match="its disk is full: .* bytes are needed"
        ) as refused:
            open_device(here).__enter__()
        assert refused.value.code == NO_SPACE
        assert "Free some space" in refused.value.hint
        assert "kedge target set here root=FOLDER" in refused.value.hint
        assert files_below(root) == []


def test_a_disk_that_takes_no_more_files(here: Target) -> None:
    root = Path(here.root)
    with small_disk(root, "size=16m,nr_inodes=3"):
        with pytest.raises(BoardDiskError, match="takes 2 more") as refused:
            open_device(here).__enter__()
        assert refused.value.code == NO_SPACE
        assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("cat: write error: No space left on device", NO_SPACE),
        ("sh: write error: Disk quota exceeded", NO_SPACE),
        ("mkdir: can't create directory 'agent': Read-only file system", READ_ONLY),
        ("mv: cannot move: Input/output error", STORAGE),
        ("File size limit exceeded", LIMIT),
    ],
)
def test_the_words_of_a_program_have_a_cause(words: str, code: str) -> None:
    error = disk_error_of_words("here", "it did not take the agent", words)
    assert error is not None
    assert error.code == code
    assert f"it did not take the agent ({words})" in str(error)
    assert error.hint.endswith((".", "root=FOLDER"))


def test_a_quota_that_only_the_write_shows(
    here: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`df` shows room, and the write fails: a stand-in for `cat` says what the kernel would."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "cat").write_text(
        '#!/bin/sh\ninput=$(dirname "$0")/input\n/bin/cat > "$input"\n'
        'grep -q "^whole=yes" "$input" && exec /bin/cat "$input"\n'
        'echo "cat: write error: Disk quota exceeded" >&2; exit 1\n'
    )
    (programs / "cat").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with pytest.raises(BoardDiskError, match="its disk is full: .*quota") as refused:
        open_device(here).__enter__()
    assert refused.value.code == NO_SPACE
    assert files_below(Path(here.root)) == []


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
