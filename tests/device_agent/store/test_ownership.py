"""Who may change the root folder: as sshd's StrictModes, but kedge tightens what it owns."""

import os
import stat
from pathlib import Path

import pytest

from device_agent.contract.codes import UNSAFE_ROOT, RefusalError
from device_agent.store.ownership import (
    Part,
    describe_root,
    find_unsafe_part,
    judge_part,
    parts_on_the_way,
)
from device_agent.store.store import Store

ME, OTHER = 1000, 65534
NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of others")


def part(mode: int, uid: int = ME, kind: int = stat.S_IFDIR) -> Part:
    return Part("/somewhere", kind | mode, uid, 100)


@pytest.mark.parametrize(
    ("mode", "uid", "writers", "cause"),
    [
        (0o700, ME, 0, ""),
        (0o755, 0, 0, ""),
        (0o1777, 0, 0o022, ""),  # as /tmp
        (0o775, ME, 0, ""),  # of a group without other members
        (0o775, ME, 0o020, "may be written by the group"),
        (0o777, ME, 0o022, "may be written by everybody"),
        (0o777, 0, 0o022, "may be written by everybody"),
        (0o700, OTHER, 0, "belongs to the user"),
        (0o1777, OTHER, 0o022, "belongs to the user"),  # its owner may exchange every name in it
    ],
)
def test_a_part_is_judged_by_owner_and_writers(
    mode: int, uid: int, writers: int, cause: str
) -> None:
    unsafe = judge_part(part(mode, uid), ME, writers)
    assert (
        (cause in unsafe.cause and unsafe.fix.endswith((".", "/somewhere")))
        if unsafe
        else (not cause)
    )


def test_a_link_is_judged_by_its_owner_alone() -> None:
    assert judge_part(part(0o777, ME, stat.S_IFLNK), ME, 0o022) is None
    assert judge_part(part(0o777, OTHER, stat.S_IFLNK), ME, 0o022) is not None


def test_both_sides_of_a_link_are_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "disk/kedge").mkdir(parents=True)
    (tmp_path / "link").symlink_to("disk")

    paths = [entry.path for entry in parts_on_the_way(str(tmp_path / "link/kedge"), "")]

    for name in ("link", "link/kedge", "disk", "disk/kedge"):
        assert str(tmp_path / name) in paths
    assert "/" in paths


def test_above_the_home_nothing_is_judged(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "a").mkdir(parents=True)

    assert [entry.path for entry in parts_on_the_way(str(home / "a"), str(home))] == [
        str(home),
        str(home / "a"),
    ]
    assert str(tmp_path) in [entry.path for entry in parts_on_the_way(str(tmp_path), str(home))]


def test_what_kedge_owns_is_tightened(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("store", "store/scratch", "store/partial", "store/runtimes", "agent"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for path in (root, *root.rglob("*")):
        path.chmod(0o777)
    assert find_unsafe_part(str(root)) is None

    Store(str(root)).require_safe()

    assert root.stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in root.rglob("*")} == {0o700}


@pytest.mark.parametrize("name", ["", "store"])
def test_a_folder_for_everybody_stays_one(tmp_path: Path, name: str) -> None:
    shared, root = tmp_path / "shared", tmp_path / "root"
    shared.mkdir()
    shared.chmod(0o1777)
    if name:
        root.mkdir()
    (root / name).symlink_to(shared)

    Store(str(root)).require_safe()

    assert shared.stat().st_mode & 0o7777 == 0o1777


@needs_root
@pytest.mark.parametrize("name", ["", "store", "store/scratch", "store/lock", "agent"])
def test_what_another_user_planted_is_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    (root / name).mkdir(parents=True)
    os.chown(root / name, NOBODY, NOBODY)

    with pytest.raises(RefusalError, match="belongs to the user") as refused:
        Store(str(root)).uploads.offset("a" * 64, 10)

    assert refused.value.code == UNSAFE_ROOT
    assert refused.value.hint
    assert describe_root(str(root))["cause"] == str(refused.value)


@needs_root
def test_a_folder_above_that_another_may_write_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    cause = find_unsafe_part(str(shared / "root"))
    assert cause is not None
    assert "may be written by everybody" in cause.cause

    shared.chmod(0o1777)
    assert find_unsafe_part(str(shared / "root")) is None


@needs_root
def test_a_link_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "root"
    link.symlink_to("disk")
    assert find_unsafe_part(str(link)) is None

    os.lchown(link, NOBODY, NOBODY)

    assert find_unsafe_part(str(link)) is not None


def test_a_store_behind_a_link_of_ones_own_works(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "root/store").symlink_to(tmp_path / "disk")

    assert Store(str(tmp_path / "root")).uploads.offset("a" * 64, 10) == (0, "")


def test_nothing_is_written_through_a_planted_link_or_pipe(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    root = tmp_path / "root"
    store = Store(str(root))
    store.uploads.offset("a" * 64, 10)
    digest = "b" * 64
    (root / "store/lock").symlink_to(victim)
    (root / "store/partial" / digest).symlink_to(victim)
    os.mkfifo(root / "store/partial" / ("c" * 64))
    (root / "store/scratch" / digest).symlink_to(victim)

    with pytest.raises(RefusalError, match="regular file"):
        store.reservation.take("me", 0, lambda _: None)
    for name in (digest, "c" * 64):
        with pytest.raises(RefusalError, match="regular file"):
            store.uploads.receive(name, 4, 0, lambda _: b"evil")
        with pytest.raises(RefusalError, match="regular file"):
            store.uploads.offset(name, 4)
    with pytest.raises(RefusalError, match="has no file"):
        store.scratch.path(digest)

    assert victim.read_bytes() == b"mine"
