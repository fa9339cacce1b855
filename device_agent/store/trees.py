"""Runtimes: unzipped wheels, addressed by the digests of all of them."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import List, Set

from device_agent.contract.codes import BAD_REQUEST, DIGEST_MISMATCH, NOT_FOUND, RefusalError
from device_agent.store.durable import fsync_folder
from device_agent.store.folders import Folders, name_in
from device_agent.store.reservation import Reservation
from device_agent.store.scratch import Scratch
from device_agent.store.tree_files import add_bytecode, has_list, is_intact, write_list

#: Errors of a name in a wheel that no file can have; a bad stream of bzip2 has no number.
_NAME_ERRORS = (
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.EINVAL,
    errno.ENOENT,
    None,
)


class Trees:
    """The runtimes of a store."""

    def __init__(self, folders: Folders, scratch: Scratch, reservation: Reservation) -> None:
        self._folders = folders
        self._scratch = scratch
        self._reservation = reservation
        self._intact: Set[str] = set()
        self.damaged: Set[str] = set()
        """Digests of the runtimes of this session that were changed, and were removed."""

    def path(self, tree: str) -> str:
        """Return the folder of the runtime with this digest.

        Raises:
            RefusalError: The board has no such runtime, or it was changed, and is removed.
        """
        if self.has(tree):
            return name_in(self._folders.runtimes, tree)
        if tree in self.damaged:
            message = "the runtime {} was changed on the board, and is removed".format(tree)
            raise RefusalError(DIGEST_MISMATCH, message, "Try again: it is brought there anew.")
        raise RefusalError(NOT_FOUND, "the board has no runtime {}".format(tree))

    def has(self, tree: str) -> bool:
        """Report whether the runtime with this digest is on the board, and whole.

        Its files are hashed before its first use in a session. One that was changed is removed, and
        so is one of an older version of kedge, which has no digests.
        """
        path = name_in(self._folders.runtimes, tree)
        if not os.path.isdir(path) or os.path.islink(path):
            return False
        if tree in self._intact:
            return True
        if is_intact(path):
            self._intact.add(tree)
            return True
        if has_list(path):
            self.damaged.add(tree)
        with self._folders.workspace() as going:
            os.replace(path, os.path.join(going, tree))
        return False

    def keep_bytecode(self, path: str) -> None:
        """Let the bytecode that a job wrote into the folder of a runtime count as its own."""
        if os.path.basename(path) in self._intact:
            with contextlib.suppress(OSError):  # else it is written again in the next session
                add_bytecode(path)

    def unpack(self, tree: str, wheels: List[str]) -> None:
        """Unzip wheels, given by digest, into the folder of `tree`; the wheels themselves go.

        Raises:
            RefusalError: A wheel is missing or none that can be unzipped, or the disk is full.
        """
        if self.has(tree):
            self._scratch.drop(wheels)
            return
        if not wheels:
            raise RefusalError(BAD_REQUEST, "a runtime has at least one wheel")
        paths = [self._scratch.path(sha256) for sha256 in wheels]
        with self._folders.workspace() as folder:
            building = os.path.join(folder, "runtime")
            for path in paths:
                self._unzip(path, building)
            write_list(building)
            os.sync()  # thousands of files: one sync costs less than an fsync each
            try:
                os.replace(building, name_in(self._folders.runtimes, tree))
            except OSError:
                if not self.has(tree):  # else another host was faster
                    raise
            self._intact.add(tree)
        fsync_folder(self._folders.runtimes)
        self._scratch.drop(wheels)

    def remove_others(self, keep: List[str]) -> None:
        """Remove the runtimes that are no longer chosen; nothing without the reservation.

        Each is renamed before its files go, so that what is called a runtime is always whole.
        """
        others = set(os.listdir(self._folders.runtimes)) - set(keep)
        if not others or not self._reservation.is_held:
            return
        with self._folders.workspace() as going:
            for name in others:
                os.replace(os.path.join(self._folders.runtimes, name), os.path.join(going, name))

    def _unzip(self, path: str, folder: str) -> None:
        import struct
        import zipfile  # half a megabyte of memory, for what is done once
        import zlib

        wheel_name = os.path.basename(path)
        try:
            with zipfile.ZipFile(path) as wheel:
                entries = wheel.infolist()
                names = [entry.filename for entry in entries]
                if all(name.endswith("/") for name in names):
                    raise _no_wheel(wheel_name, "it holds no file")
                if any(not name or "\n" in name for name in names):
                    raise _no_wheel(wheel_name, "a name in it is empty, or has two lines")
                self._folders.require_space(sum(entry.file_size for entry in entries))
                wheel.extractall(folder)
        except (zipfile.BadZipFile, zlib.error, struct.error, EOFError) as error:
            raise _no_wheel(wheel_name, error) from error
        except (RuntimeError, ValueError) as error:
            # encrypted, or compressed in a way that this Python does not know
            raise _no_wheel(wheel_name, error) from error
        except OSError as error:
            if error.errno in _NAME_ERRORS:
                raise _no_wheel(wheel_name, error) from error
            raise


def _no_wheel(name: str, reason: object) -> RefusalError:
    message = "{} is not a wheel: {}".format(name, str(reason)[:500])
    return RefusalError(BAD_REQUEST, message, "Get the wheel again.")
