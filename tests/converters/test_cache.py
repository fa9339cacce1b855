"""What is kept of finished steps: whole, bounded, and never trusted blindly."""

from __future__ import annotations

import os
import threading
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
