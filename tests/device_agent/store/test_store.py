"""Files on the board: whole or absent, whatever happens meanwhile."""

import fcntl
import io
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from device_agent.contract.codes import (
    BAD_REQUEST,
    BUSY,
    DIGEST_MISMATCH,
    NO_SPACE,
    NOT_FOUND,
    STORAGE,
    RefusalError,
)
from device_agent.store import receive as receive_module
from device_agent.store.receive import StreamLostError
from device_agent.store.store import Store
from tests.device_agent.agents import files_below, sha256_of

CONTENT = bytes(range(256)) * 600
SHA256 = sha256_of(CONTENT)
NO_DIGESTS = ["", "a" * 63, "A" * 64, "../" * 21 + "a", "a" * 64 + "\n", "/etc/passwd", "a" * 65]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> Store:
    return Store(str(root))


def reader(content: bytes) -> Callable[[int], bytes]:
    return io.BytesIO(content).read


def keep(store: Store, content: bytes) -> str:
    sha256 = sha256_of(content)
    store.uploads.receive(sha256, len(content), 0, reader(content))
    return sha256


def wheel(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_file_arrives_under_its_digest_only(store: Store, root: Path) -> None:
    assert store.uploads.offset(SHA256, len(CONTENT)) == (0, "")
    store.uploads.receive(SHA256, len(CONTENT), 0, reader(CONTENT))

    assert files_below(root) == [f"store/scratch/{SHA256}"]
    assert Path(store.scratch.path(SHA256)).read_bytes() == CONTENT
    assert store.uploads.offset(SHA256, len(CONTENT)) == (len(CONTENT), store.scratch.path(SHA256))


def test_every_step_to_a_name_is_synced_in_order(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def seen_fsync(handle: int) -> None:
        steps.append("fsync " + Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    def seen_replace(source: str, target: str) -> None:
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "replace", seen_replace)
    keep(store, CONTENT)

    made = [step for step in steps if step in ("fsync store", "fsync root")]
    assert len(made) == 4  # the folder above each folder that was made
    assert steps[-3:] == [f"fsync {SHA256}", "rename", "fsync scratch"]


def test_an_empty_file_is_a_file(store: Store) -> None:
    assert Path(store.scratch.path(keep(store, b""))).read_bytes() == b""


def test_a_lost_stream_keeps_what_arrived(store: Store, root: Path) -> None:
    with pytest.raises(StreamLostError):
        store.uploads.receive(SHA256, len(CONTENT), 0, reader(CONTENT[:100_000]))

    assert files_below(root) == [f"store/partial/{SHA256}"]
    assert store.uploads.offset(SHA256, len(CONTENT)) == (100_000, "")

    store.uploads.receive(SHA256, len(CONTENT), 100_000, reader(CONTENT[100_000:]))

    assert files_below(root) == [f"store/scratch/{SHA256}"]
    assert Path(store.scratch.path(SHA256)).read_bytes() == CONTENT


def test_an_earlier_offset_than_what_lies_there_is_right_too(store: Store) -> None:
    with pytest.raises(StreamLostError):
        store.uploads.receive(SHA256, len(CONTENT), 0, reader(CONTENT[:100_000]))
    store.uploads.receive(SHA256, len(CONTENT), 500, reader(CONTENT[500:]))

    assert Path(store.scratch.path(SHA256)).read_bytes() == CONTENT


@pytest.mark.parametrize("offset", [0, 1000])
def test_wrong_bytes_leave_nothing(store: Store, root: Path, offset: int) -> None:
    stream = io.BytesIO(b"x" * len(CONTENT) + b"next line")

    with pytest.raises(RefusalError, match="received") as refused:
        store.uploads.receive(SHA256, len(CONTENT), offset, stream.read)

    assert refused.value.code == DIGEST_MISMATCH
    assert files_below(root) == []
    assert stream.read(4) == b"x" * min(offset, 4) if offset else b"next"


def test_a_refused_upload_is_read_to_its_end(store: Store) -> None:
    stream = io.BytesIO(CONTENT + b"the next line")

    with pytest.raises(RefusalError):
        store.uploads.receive("no digest", len(CONTENT), 0, stream.read)

    assert stream.read() == b"the next line"


def test_a_failing_disk_keeps_the_wire_in_step(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.BytesIO(CONTENT + b"the next line")

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(RefusalError, match="Input/output error") as refused:
        store.uploads.receive(SHA256, len(CONTENT), 0, stream.read)

    assert refused.value.code == STORAGE
    assert stream.read() == b"the next line"


def test_of_two_writers_the_second_is_refused(store: Store, root: Path) -> None:
    arrived, go_on = threading.Event(), threading.Event()
    source = io.BytesIO(CONTENT)

    def slow(size: int) -> bytes:
        arrived.set()
        go_on.wait(60)
        return source.read(size)

    first = threading.Thread(target=store.uploads.receive, args=(SHA256, len(CONTENT), 0, slow))
    first.start()
    try:
        assert arrived.wait(60)
        stream = io.BytesIO(CONTENT)
        with pytest.raises(RefusalError, match="another host is sending") as refused:
            Store(str(root)).uploads.receive(SHA256, len(CONTENT), 0, stream.read)
    finally:
        go_on.set()
        first.join(60)

    assert refused.value.code == BUSY
    assert stream.read() == b""
    assert Path(store.scratch.path(SHA256)).read_bytes() == CONTENT


def test_a_finished_file_is_never_written_to_again(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other host finishes just after this one opened the partial file."""
    other, lock = Store(str(root)), receive_module._lock

    def late(*arguments: object) -> None:
        monkeypatch.setattr(receive_module, "_lock", lock)
        other.uploads.receive(SHA256, len(CONTENT), 0, reader(CONTENT))
        before = Path(other.scratch.path(SHA256)).stat()
        lock(*arguments)  # type: ignore[arg-type]
        assert Path(other.scratch.path(SHA256)).stat().st_size == before.st_size

    monkeypatch.setattr(receive_module, "_lock", late)
    stream = io.BytesIO(CONTENT + b"the next line")
    store.uploads.receive(SHA256, len(CONTENT), 0, stream.read)

    assert Path(store.scratch.path(SHA256)).read_bytes() == CONTENT
    assert stream.read() == b"the next line"
    assert files_below(root) == [f"store/scratch/{SHA256}"]


@pytest.mark.parametrize("digest", NO_DIGESTS)
def test_only_a_digest_becomes_part_of_a_path(store: Store, root: Path, digest: str) -> None:
    acts: list[Callable[[], object]] = [
        lambda: store.scratch.path(digest),
        lambda: store.uploads.offset(digest, 1),
        lambda: store.uploads.receive(digest, 0, 0, reader(b"")),
        lambda: store.scratch.drop([digest]),
        lambda: store.trees.path(digest),
        lambda: store.trees.has(digest),
        lambda: store.trees.unpack(digest, [SHA256]),
        lambda: store.trees.unpack("a" * 64, [digest]),
    ]
    for act in acts:
        with pytest.raises(RefusalError, match="is not a SHA-256 digest") as refused:
            act()
        assert refused.value.code == BAD_REQUEST
    assert files_below(root) == []


def test_what_is_not_there_is_named(store: Store) -> None:
    for act in (store.scratch.path, store.trees.path):
        with pytest.raises(RefusalError, match="a{64}") as refused:
            act("a" * 64)
        assert refused.value.code == NOT_FOUND


def test_a_damaged_file_of_another_size_is_sent_again(store: Store) -> None:
    path = Path(store.scratch.path(keep(store, CONTENT)))
    path.write_bytes(CONTENT[:10])

    assert store.uploads.offset(SHA256, len(CONTENT)) == (0, "")
    store.uploads.receive(SHA256, len(CONTENT), 0, reader(CONTENT))
    assert path.read_bytes() == CONTENT


def test_what_does_not_fit_is_refused_before_it_is_sent(store: Store, root: Path) -> None:
    with pytest.raises(RefusalError, match="bytes are needed") as refused:
        store.uploads.offset(SHA256, 1 << 60)

    assert refused.value.code == NO_SPACE
    assert files_below(root) == []


def test_drop_counts_what_was_there(store: Store, root: Path) -> None:
    kept = keep(store, b"kept")
    with pytest.raises(StreamLostError):
        store.uploads.receive(SHA256, len(CONTENT), 0, reader(b"some"))

    assert store.scratch.drop([SHA256, keep(store, b"gone"), "a" * 64]) == 2
    assert files_below(root) == [f"store/scratch/{kept}"]


def test_a_result_is_moved_in_and_the_disk_is_not_waited_for(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.workspace() as folder:
        monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("waits for the disk"))
        path = Path(folder, "samples")
        path.write_bytes(CONTENT)

        assert store.scratch.adopt(str(path)) == SHA256
    assert files_below(root) == [f"store/scratch/{SHA256}"]
    assert not Path(folder).exists()


def test_what_a_killed_agent_left_is_removed(store: Store, root: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    killed.kill()  # nobody has waited for it yet: the system still knows its number
    ended, other = root / "store" / f"work-{killed.pid}", root / "store" / "work-1"
    for folder in (ended, other):
        folder.mkdir(parents=True)
        (folder / "half").write_bytes(CONTENT)
    running = os.open(other / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(running, fcntl.LOCK_EX)

    with store.workspace():
        assert not ended.exists()
        assert other.exists()
    os.close(running)
    killed.communicate()
    with store.workspace():
        assert not other.exists()


def test_wheels_become_one_folder_and_go(store: Store, root: Path) -> None:
    first = keep(store, wheel({"runtime/__init__.py": b"1", "data/x": b"2"}))
    second = keep(store, wheel({"numpy/__init__.py": b"3"}))
    assert not store.trees.has("a" * 64)

    store.trees.unpack("a" * 64, [first, second])

    assert store.trees.has("a" * 64)
    tree = f"store/runtimes/{'a' * 64}"
    assert files_below(root) == [
        f"{tree}/.kedge-files",
        f"{tree}/data/x",
        f"{tree}/numpy/__init__.py",
        f"{tree}/runtime/__init__.py",
    ]


def test_unpacking_again_changes_nothing(store: Store, root: Path) -> None:
    content = wheel({"a.py": b"1"})
    store.trees.unpack("a" * 64, [keep(store, content)])
    before = files_below(root)

    store.trees.unpack("a" * 64, [keep(store, content)])  # sent twice by two hosts
    store.trees.unpack("a" * 64, [sha256_of(content)])

    assert files_below(root) == before


@pytest.mark.parametrize("name", ["../../evil", "/evil", "a/../../../evil", "..\\evil"])
def test_no_wheel_writes_outside_its_folder(store: Store, root: Path, name: str) -> None:
    store.trees.unpack("a" * 64, [keep(store, wheel({name: b"x"}))])

    assert all(path.startswith(f"store/runtimes/{'a' * 64}/") for path in files_below(root))
    assert files_below(root.parent) == ["root/" + path for path in files_below(root)]


def damaged_member() -> bytes:
    content = bytearray(wheel({"a.py": b"1" * 1000}))
    content[60] ^= 0xFF
    return bytes(content)


def encrypted() -> bytes:
    content = bytearray(wheel({"a.py": b"1"}))
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [b"", b"no zip", wheel({"a.py": b"1" * 5000})[:-30], damaged_member(), encrypted()],
    ids=["empty", "text", "cut", "damaged", "encrypted"],
)
def test_what_is_no_wheel_leaves_no_folder(store: Store, root: Path, content: bytes) -> None:
    sha256 = keep(store, content)

    with pytest.raises(RefusalError, match="is not a wheel") as refused:
        store.trees.unpack("a" * 64, [sha256])

    assert refused.value.code == BAD_REQUEST
    assert refused.value.hint == "Get the wheel again."
    assert not store.trees.has("a" * 64)
    assert files_below(root) == [f"store/scratch/{sha256}"]


def test_a_runtime_of_no_wheels_is_refused(store: Store) -> None:
    with pytest.raises(RefusalError, match="at least one wheel"):
        store.trees.unpack("a" * 64, [])
    assert not store.trees.has("a" * 64)


def test_a_missing_wheel_is_refused_before_anything_is_made(store: Store, root: Path) -> None:
    kept = keep(store, wheel({"a.py": b"1"}))

    with pytest.raises(RefusalError, match="the board has no file") as refused:
        store.trees.unpack("a" * 64, [kept, "b" * 64])

    assert refused.value.code == NOT_FOUND
    assert files_below(root) == [f"store/scratch/{kept}"]
