"""Runtimes: unzipped wheels, addressed by the digests of all of them."""

from __future__ import annotations

import os
from typing import List

from device_agent.contract.codes import BAD_REQUEST, NOT_FOUND, RefusalError
from device_agent.store.durable import fsync_folder
from device_agent.store.folders import Folders, name_in
from device_agent.store.reservation import Reservation
from device_agent.store.scratch import Scratch


class Trees:
    """The runtimes of a store."""

    def __init__(self, folders: Folders, scratch: Scratch, reservation: Reservation) -> None:
        self._folders = folders
        self._scratch = scratch
        self._reservation = reservation

    def path(self, tree: str) -> str:
        """Return the folder of the runtime with this digest.

        Raises:
            RefusalError: The board has no such runtime.
        """
        path = name_in(self._folders.runtimes, tree)
        if not os.path.isdir(path):
            raise RefusalError(NOT_FOUND, "the board has no runtime {}".format(tree))
        return path

    def has(self, tree: str) -> bool:
        """Report whether the runtime with this digest is on the board."""
        return os.path.isdir(name_in(self._folders.runtimes, tree))

    def unpack(self, tree: str, wheels: List[str]) -> None:
        """Unzip wheels, given by digest, into the folder of `tree`; the wheels themselves go.

        Raises:
            RefusalError: A wheel is missing or no zip file, or the disk is full.
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
            os.sync()  # thousands of files: one sync costs less than an fsync each
            try:
                os.replace(building, name_in(self._folders.runtimes, tree))
            except OSError:
                if not self.has(tree):  # else another host was faster
                    raise
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
        import zipfile  # half a megabyte of memory, for what is done once
        import zlib

        try:
            with zipfile.ZipFile(path) as wheel:
                self._folders.require_space(sum(entry.file_size for entry in wheel.infolist()))
                wheel.extractall(folder)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
            # RuntimeError: encrypted, or compressed in a way that this Python does not know
            message = "{} is not a wheel: {}".format(os.path.basename(path), error)
            raise RefusalError(BAD_REQUEST, message, "Get the wheel again.") from error
