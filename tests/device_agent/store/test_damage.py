"""Damage on the board's storage is found before a file or a runtime is used again."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from device_agent.contract.codes import (
    BAD_REQUEST,
    BUSY,
    DIGEST_MISMATCH,
    UNSAFE_ROOT,
    RefusalError,
)
from device_agent.store.receive import _open_locked
from device_agent.store.store import Store
from tests.device_agent.agents import open_agent, put, sha256_of
from tests.device_agent.store.test_store import keep, wheel

CONTENT = bytes(range(256)) * 600
SHA256 = sha256_of(CONTENT)
TREE = "a" * 64


def flip(path: Path, position: int = 3) -> None:
    """Changes a byte and no time stamp, as a worn flash does."""
    state = path.stat()
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_damaged_file_is_removed_and_sent_anew(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with open_agent(root) as client:
        put(client, CONTENT)
        assert client.damaged == set()
    flip(root / "store/scratch" / SHA256)
    with open_agent(root) as client:
        put(client, CONTENT)
        assert client.damaged == {SHA256}
        assert client.get(SHA256) == CONTENT
    with open_agent(root) as client:
        before = client.sent_bytes
        put(client, CONTENT)
        assert client.damaged == set()
        assert client.sent_bytes - before < 1000


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    place = tmp_path / "store/scratch" / SHA256
    place.mkdir(parents=True)

    with pytest.raises(RefusalError, match="is not a regular file of this user") as refused:
        keep(store, CONTENT)

    assert refused.value.code == UNSAFE_ROOT
    assert place.is_dir()


def test_a_job_does_not_use_a_damaged_file(tmp_path: Path) -> None:
    keep(Store(str(tmp_path)), CONTENT)
    flip(tmp_path / "store/scratch" / SHA256)
    store = Store(str(tmp_path))

    with pytest.raises(RefusalError, match="was damaged") as refused:
        store.scratch.path(SHA256)

    assert refused.value.code == DIGEST_MISMATCH
    assert not (tmp_path / "store/scratch" / SHA256).exists()


def test_a_file_is_hashed_once_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from device_agent.store import scratch

    keep(Store(str(tmp_path)), CONTENT)
    store, hashed = Store(str(tmp_path)), []
    digest_of = scratch._digest_of
    monkeypatch.setattr(
        scratch, "_digest_of", lambda path, **more: hashed.append(path) or digest_of(path, **more)
    )
    for _ in range(3):
        store.scratch.path(SHA256)
        assert store.uploads.offset(SHA256, len(CONTENT))[0] == len(CONTENT)

    assert len(hashed) == 1


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    store = Store(str(tmp_path))
    content = wheel({"lite/interpreter.py": b"x = 1\n" * 50, "lite/data/x": b"2", "a.py": b"3"})
    store.trees.unpack(TREE, [keep(store, content)])
    return tmp_path / "store/runtimes" / TREE


def plant_module(tree: Path) -> None:
    (tree / "numpy.py").write_bytes(b"evil")


def plant_link(tree: Path) -> None:
    (tree / "lite/more").symlink_to("/etc")


def exchange_for_link(tree: Path) -> None:
    (tree / "a.py").unlink()
    (tree / "a.py").symlink_to("lite/interpreter.py")


CHANGES: list[Callable[[Path], None]] = [
    lambda tree: flip(tree / "lite/interpreter.py"),
    lambda tree: flip(tree / ".kedge-files"),
    lambda tree: (tree / ".kedge-files").write_bytes(b"\xff\xfe"),
    lambda tree: (tree / "lite/data/x").unlink(),
    lambda tree: (tree / "a.py").write_bytes(b""),
    plant_module,
    plant_link,
    exchange_for_link,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_runtime_is_found(
    tmp_path: Path, runtime: Path, change: Callable[[Path], None]
) -> None:
    assert Store(str(tmp_path)).trees.has(TREE)
    change(runtime)
    store = Store(str(tmp_path))

    with pytest.raises(RefusalError, match="was changed"):
        store.trees.path(TREE)

    assert store.trees.damaged == {TREE}
    assert not runtime.exists()
    assert Path("/etc/passwd").exists()


def test_a_runtime_of_an_older_version_goes_without_a_word(tmp_path: Path, runtime: Path) -> None:
    (runtime / ".kedge-files").unlink()
    store = Store(str(tmp_path))

    assert not store.trees.has(TREE)
    assert store.trees.damaged == set()


def test_bytecode_is_kept_only_where_a_job_wrote_it(tmp_path: Path, runtime: Path) -> None:
    store = Store(str(tmp_path))
    assert store.trees.has(TREE)
    folder = runtime / "lite/__pycache__"
    folder.mkdir()
    (folder / "interpreter.cpython-311.pyc").write_bytes(b"of the job")
    store.trees.keep_bytecode(str(runtime))
    (folder / "x.cpython-311.pyc").write_bytes(b"planted")

    assert Store(str(tmp_path)).trees.has(TREE)
    assert [path.name for path in folder.iterdir()] == ["interpreter.cpython-311.pyc"]

    flip(folder / "interpreter.cpython-311.pyc")
    assert Store(str(tmp_path)).trees.has(TREE)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"empty/": b""},
        {"a": b"1", "a/b": b"2"},
        {"a/b": b"1", "a": b"2"},
        {"n" * 300: b"1"},
        {"/".join(["n" * 200] * 30): b"1"},
        {"two\nlines.py": b"1"},
    ],
)
def test_a_wheel_that_cannot_be_unzipped_is_no_bug(tmp_path: Path, files: dict[str, bytes]) -> None:
    store = Store(str(tmp_path))
    sha256 = keep(store, wheel(files))

    with pytest.raises(RefusalError, match="is not a wheel") as refused:
        store.trees.unpack(TREE, [sha256])

    assert refused.value.code == BAD_REQUEST
    assert list((tmp_path / "store/runtimes").iterdir()) == []


def test_what_another_host_sends_is_not_dropped(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.uploads.offset(SHA256, 10)
    partial = tmp_path / "store/partial" / SHA256
    with _open_locked(str(partial), SHA256):
        with pytest.raises(RefusalError, match="another host is sending") as refused:
            store.scratch.drop([SHA256])
        assert refused.value.code == BUSY
        assert partial.exists()
    assert store.scratch.drop([SHA256]) == 1
    assert not partial.exists()
