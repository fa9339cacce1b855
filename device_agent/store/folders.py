"""The folders of a store and the names in them; who makes a name checks it here."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from typing import Iterator, List, Tuple

from device_agent.contract.codes import (
    BAD_REQUEST,
    NO_SPACE,
    READ_ONLY,
    UNSAFE_ROOT,
    RefusalError,
)
from device_agent.os_errors import named_os_errors
from device_agent.store.durable import make_folder
from device_agent.store.ownership import find_unsafe_part, tighten

#: Number of bytes left free, so that a push never starves the board's own programs.
RESERVE_BYTES = 4 << 20

#: Number of files that a file system must still take before a release is staged: its folder, links
#: and records, and the way back.
RESERVE_FILES = 32

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class Folders:
    """The folder `store` of one root and those in it."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        self.store = os.path.join(self.root, "store")
        self.scratch = os.path.join(self.store, "scratch")
        self.partial = os.path.join(self.store, "partial")
        self.runtimes = os.path.join(self.store, "runtimes")
        self.engines = os.path.join(self.store, "engines")
        self.blobs = os.path.join(self.store, "cas", "sha256")
        self.releases = os.path.join(self.store, "rel")
        self.apps = os.path.join(self.store, "apps")
        self.roots = os.path.join(self.store, "trust")
        self.log = os.path.join(self.store, "log")
        self._is_safe = False

    def require_safe(self) -> None:
        """Refuse a root folder that others than this user may change; looked at once a session.

        Raises:
            RefusalError: Others may change it; says who and what helps.
        """
        if self._is_safe:
            return
        tighten(self.root)
        unsafe = find_unsafe_part(self.root)
        if unsafe is not None:
            raise RefusalError(UNSAFE_ROOT, unsafe.cause, unsafe.fix)
        self._is_safe = True

    def make(self) -> None:
        """Make the folders that are missing.

        Raises:
            RefusalError: Others than this user may change the root folder.
        """
        self.require_safe()
        for path in (self.scratch, self.partial, self.runtimes):
            make_folder(path)

    def make_engines(self) -> str:
        """Make the folder of engines where it is missing; return its path.

        Raises:
            RefusalError: Others than this user may change the root folder, or it cannot be made.
        """
        self.require_safe()
        with named_os_errors():
            make_folder(self.engines)
        return self.engines

    def make_for_releases(self) -> None:
        """Make the folders of releases that are missing.

        Raises:
            RefusalError: Others than this user may change the root folder.
        """
        self.require_safe()
        for path in (self.blobs, self.releases, self.apps, self.roots, self.log):
            make_folder(path)

    def require_writable(self) -> None:
        """Refuse before anything is sent when the folders are there and cannot be written.

        Raises:
            RefusalError: The file system is read-only, or the folder is not this user's to write.
        """
        for path in (self.scratch, self.partial):
            if not os.access(path, os.W_OK):
                message = "{}: is its file system read-only?".format(path)
                raise RefusalError(READ_ONLY, message)

    def require_space(self, size: int) -> None:
        """Refuse before anything is written when `size` bytes do not fit.

        Raises:
            RefusalError: The file system has less than `size` and a reserve free.
        """
        facts = os.statvfs(_existing(self.store))
        free = facts.f_bavail * facts.f_frsize
        if free < size + RESERVE_BYTES:
            message = "{} bytes are needed under {}, and {} in reserve; {} are free".format(
                size, self.store, RESERVE_BYTES, free
            )
            raise RefusalError(NO_SPACE, message)

    def require_files(self) -> None:
        """Refuse before anything is sent where the file system takes no new file.

        Raises:
            RefusalError: It is mounted read-only, or takes fewer files than a release needs.
        """
        path = _existing(self.store)
        facts = os.statvfs(path)
        if facts.f_flag & os.ST_RDONLY:
            raise RefusalError(READ_ONLY, "{} is mounted read-only".format(path))
        if facts.f_files and facts.f_favail < RESERVE_FILES:
            message = "{} files are needed under {}; its file system takes {} more"
            hint = "Delete files on the board (`df -i` shows how many it takes)."
            raise RefusalError(
                NO_SPACE, message.format(RESERVE_FILES, self.store, facts.f_favail), hint
            )

    @contextlib.contextmanager
    def workspace(self) -> Iterator[str]:
        """Lend a folder for one job, on the file system of the store; remove it afterwards."""
        import shutil  # with lzma and bz2, which take long on a slow board

        with named_os_errors():
            self.make()
            self._remove_abandoned()
            folder, lock = self._make_workspace()
        try:
            with named_os_errors():
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)

    def _make_workspace(self) -> Tuple[str, int]:
        """Make a folder and lock it; return its path and the lock, which ends with the process."""
        folder = os.path.join(self.store, "work-{}".format(os.getpid()))
        while True:
            os.mkdir(folder)
            with contextlib.suppress(BlockingIOError, FileNotFoundError):
                return folder, _lock_workspace(folder, os.O_CREAT | os.O_EXCL)
            # Another agent has removed it before it was locked.

    def _remove_abandoned(self) -> None:
        """Remove the workspaces of agents that were killed: nobody holds their locks.

        The number of a process would not show it: another process may have it by now.
        """
        import shutil

        for name in os.listdir(self.store):
            if not name.startswith("work-"):
                continue
            path = os.path.join(self.store, name)
            try:
                lock = _lock_workspace(path)
            except BlockingIOError:
                continue
            except OSError:  # its agent was killed before it was locked, or it is no workspace
                lock = None
            shutil.rmtree(path, ignore_errors=True)
            with contextlib.suppress(OSError):  # a link or a file
                os.unlink(path)
            if lock is not None:
                os.close(lock)


def _lock_workspace(folder: str, flags: int = 0) -> int:
    """Lock a workspace; return the lock.

    Raises:
        BlockingIOError: An agent works in it.
        FileNotFoundError: It is gone.
    """
    path = os.path.join(folder, ".lock")
    lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW | flags, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(lock), os.stat(path)):
            raise FileNotFoundError(path)
    except BaseException:
        os.close(lock)
        raise
    return lock


def name_in(folder: str, digest: str) -> str:
    """Return the path of what a digest names; only a digest becomes part of a path.

    Raises:
        RefusalError: The text is no digest.
    """
    if not _DIGEST.match(digest):
        raise RefusalError(BAD_REQUEST, "{!r} is not a SHA-256 digest".format(digest[:100]))
    return os.path.join(folder, digest)


def digests_in(folder: str) -> List[str]:
    """Return the names in a folder that are digests, in their order.

    Something else may lie there, such as a file that NFS keeps for who has it open, or
    `lost+found`.
    """
    try:
        return sorted(name for name in os.listdir(folder) if _DIGEST.match(name))
    except FileNotFoundError:
        return []


def _existing(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path
