"""Power cuts: a process ends at every step of a write, and the next start finds old or new."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from device_agent.store.store import Store
from targets.inventory import Inventory
from tests.device_agent.agents import files_below, sha256_of

REPOSITORY = Path(__file__).parents[2]
CONTENT = bytes(range(256)) * 1024
SHA256 = sha256_of(CONTENT)
TREE = "a" * 64

#: Ends the process, as a power cut does, right before its step number N.
CRASHING = """
import io, os, sys
left = int(sys.argv[1])
def crashing(act):
    def step(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os._exit(99)
        return act(*arguments, **named)
    return step
for name in ("fsync", "replace", "sync", "mkdir", "unlink", "rename", "ftruncate"):
    setattr(os, name, crashing(getattr(os, name)))
"""
UPLOAD = """
from device_agent.store.store import Store
content = bytes(range(256)) * 1024
Store(sys.argv[2]).uploads.receive(sys.argv[3], len(content), 0, io.BytesIO(content).read)
"""
UNPACK = """
from device_agent.store.store import Store
Store(sys.argv[2]).trees.unpack("a" * 64, [sys.argv[3]])
"""
EDIT = """
from pathlib import Path
from targets.inventory import Inventory, Target
Inventory(Path(sys.argv[2])).add(Target("new", "local"))
"""
MOST_STEPS = 40


def crash_at(step: int, program: str, *arguments: str) -> bool:
    """Runs the program up to a step; tells whether it ended there."""
    done = subprocess.run(
        [sys.executable, "-c", CRASHING + program, str(step), *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 99), done.stderr
    return done.returncode == 99


def test_an_upload(tmp_path: Path) -> None:
    crashes = 0
    while crash_at(crashes, UPLOAD, str(tmp_path / str(crashes)), SHA256):
        root = tmp_path / str(crashes)
        store = Store(str(root))
        name = root / "store" / "scratch" / SHA256
        assert not name.exists() or name.read_bytes() == CONTENT

        offset, path = store.uploads.offset(SHA256, len(CONTENT))
        if not path:
            rest = io.BytesIO(CONTENT[offset:])
            store.uploads.receive(SHA256, len(CONTENT), offset, rest.read)
        assert files_below(root) == [f"store/scratch/{SHA256}"]
        assert name.read_bytes() == CONTENT
        crashes += 1
        assert crashes < MOST_STEPS

    assert crashes >= 7  # four folders, the file, its name, the folder of its name


def wheel() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("runtime/__init__.py", "a = 1\n")
        archive.writestr("runtime/data", CONTENT)
    return buffer.getvalue()


def test_unpacking_a_runtime(tmp_path: Path) -> None:
    content, crashes = wheel(), 0
    names = (".kedge-files", "runtime/__init__.py", "runtime/data")
    whole = [f"store/runtimes/{TREE}/{name}" for name in names]
    while True:
        root = tmp_path / str(crashes)
        store = Store(str(root))
        store.uploads.receive(sha256_of(content), len(content), 0, io.BytesIO(content).read)
        if not crash_at(crashes, UNPACK, str(root), sha256_of(content)):
            break
        if store.trees.has(TREE):
            assert [name for name in files_below(root) if "runtimes" in name] == whole
        store.trees.unpack(TREE, [sha256_of(content)])
        with store.workspace():
            pass
        assert files_below(root) == whole
        crashes += 1
        assert crashes < MOST_STEPS

    assert crashes >= 5
    assert files_below(root) == whole


@pytest.mark.parametrize("before", ["", "# mine\n[targets.old]\naddress = 'local'\n"])
def test_an_edit_of_the_inventory(tmp_path: Path, before: str) -> None:
    crashes = 0
    while True:
        path = tmp_path / str(crashes) / "kedge.toml"
        path.parent.mkdir()
        if before:
            path.write_text(before)
        if not crash_at(crashes, EDIT, str(path)):
            break
        text = path.read_text() if path.exists() else ""
        assert text == before or "new" in Inventory(path).targets
        crashes += 1
        assert crashes < MOST_STEPS

    assert crashes >= 3
    assert "new" in Inventory(path).targets
    assert path.read_text().startswith(before)
