"""What is kept of finished steps: whole, bounded, and never trusted blindly."""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
import zipfile
from pathlib import Path

import pytest

from converters.cache import Cache
from converters.errors import ConversionError, HostDiskError

KEY, OTHER, THIRD = "a" * 64, "b" * 64, "c" * 64
PARTS = {"model": b"weights" * 1_000, "record": b"{}"}


def test_what_is_put_is_got(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "not" / "there" / "yet")
    assert cache.get(KEY) is None
    cache.put(KEY, PARTS)
    assert cache.get(KEY) == PARTS
    cache.put(KEY, {"model": b"newer"})
    assert cache.get(KEY) == {"model": b"newer"}
    cache.remove(KEY)
    cache.remove(KEY)
    assert cache.get(KEY) is None
    assert list(cache.folder.iterdir()) == []


@pytest.mark.parametrize("at", [0, 30, 64, 65, 200, -1])
def test_an_entry_with_one_wrong_bit_is_none_and_goes(tmp_path: Path, at: int) -> None:
    cache = Cache(tmp_path)
    cache.put(KEY, PARTS)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert cache.get(KEY) is None
    assert not path.exists()


@pytest.mark.parametrize("size", [0, 1, 64, 65, 500])
def test_an_entry_that_was_cut_off_is_none(tmp_path: Path, size: int) -> None:
    cache = Cache(tmp_path)
    cache.put(KEY, PARTS)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:size])
    assert cache.get(KEY) is None


def test_equal_contents_are_equal_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Cache(tmp_path / name).put(KEY, PARTS)
    one, two = (next((tmp_path / name).iterdir()).read_bytes() for name in ("one", "two"))
    assert one == two


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit_bytes=17_000)  # two entries of 7 kB, not three
    for age, key in enumerate((OTHER, KEY)):
        cache.put(key, PARTS)
        path = next(path for path in tmp_path.iterdir() if path.name.startswith(key))
        os.utime(path, (1_000 + age, 1_000 + age))
    assert cache.get(OTHER) == PARTS  # used just now, though older
    cache.put(THIRD, PARTS)
    assert cache.get(KEY) is None
    assert cache.get(OTHER) == cache.get(THIRD) == PARTS


def test_what_is_larger_than_all_room_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit_bytes=1_000)
    cache.put(KEY, PARTS)
    assert cache.get(KEY) is None


def test_what_a_killed_conversion_left_half_written_goes_in_time(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    cache = Cache(tmp_path)
    old, new = tmp_path / ".part-old", tmp_path / ".part-new"
    old.touch()
    new.touch()
    os.utime(old, (1_000, 1_000))
    cache.put(KEY, PARTS)
    assert not old.exists()
    assert new.exists()


def test_a_full_disk_leaves_nothing_half_written(tiny_disk: Path) -> None:
    cache = Cache(tiny_disk / "cache")
    with pytest.raises(HostDiskError):
        cache.put(KEY, {"model": os.urandom(100_000)})
    assert list(cache.folder.iterdir()) == []
    assert cache.get(KEY) is None


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConversionError, match="file"):
        Cache(tmp_path / "file" / "cache").put(KEY, PARTS)


def test_many_conversions_may_share_it(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit_bytes=30_000)
    wrong = []

    def work(number: int) -> None:
        for turn in range(30):
            key = f"{(number + turn) % 5:064}"
            cache.put(key, PARTS)
            found = cache.get(key)
            if found not in (None, PARTS):
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 5 * 8_000


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_an_entry_that_others_may_read_or_write_is_not_read(tmp_path: Path, mode: int) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put(KEY, PARTS)
    (path,) = cache.folder.iterdir()
    path.chmod(mode)
    assert cache.get(KEY) is None
    assert path.exists()
    cache.put(KEY, PARTS)
    assert cache.get(KEY) == PARTS


def test_an_entry_of_another_user_is_not_read(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    cache = Cache(tmp_path / "cache")
    cache.put(KEY, PARTS)
    (path,) = cache.folder.iterdir()
    os.chown(path, 65534, 65534)
    assert cache.get(KEY) is None


def test_the_folder_is_closed_to_others(tmp_path: Path) -> None:
    open_folder = tmp_path / "cache"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    cache = Cache(open_folder)
    (open_folder / f"{OTHER}.entry").write_bytes(b"")
    assert cache.get(OTHER) is None
    cache.put(KEY, PARTS)
    assert open_folder.stat().st_mode & 0o777 == 0o700
    cache.put(KEY, PARTS)
    assert cache.get(KEY) == PARTS


def test_a_link_in_the_place_of_an_entry_is_not_followed(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put(KEY, PARTS)
    (path,) = cache.folder.iterdir()
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert cache.get(KEY) is None


def _write_entry(path: Path, body: bytes) -> None:
    path.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    path.chmod(0o600)


def _zip_of(parts: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no zip",
        _zip_of({"model": bytes(2**24)}, zipfile.ZIP_DEFLATED),
        _zip_of(PARTS)[:-30],
        _zip_of(PARTS).replace(b"PK\x01\x02", b"PK\x01\x03"),
    ],
)
def test_an_entry_with_a_right_digest_and_a_wrong_content_is_none(
    tmp_path: Path, body: bytes
) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put(OTHER, PARTS)
    path = cache.folder / f"{KEY}.entry"
    _write_entry(path, body)
    assert cache.get(KEY) is None
    assert not path.exists()


def test_parts_that_cannot_be_read_are_removed(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put(KEY, {"plain": b"[" * 100_000})
    assert cache.read(KEY, lambda parts: len(parts)) == 1
    assert cache.read(KEY, lambda parts: json.loads(parts["plain"])) is None
    assert cache.get(KEY) is None
