"""Engines that TensorRT built on this board, kept from one job to the next.

The name of a file holds the key of the engine (digest of the model, version, GPU, options) and the
digest of its content: one that the storage damaged is not loaded. The number and the size of all
are bounded; those that were used longest ago go first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from typing import List, Sequence, Tuple

from device_agent.file_digest import digest_of_file

#: Most engines, and bytes of all of them. The engine of a network has some 2 times its size.
MOST_ENGINES = 12
MOST_BYTES = 2 << 30

_NAME = re.compile(r"([0-9a-f]{64})\.([0-9a-f]{64})\.plan\Z")


def engine_key(model: str, version: str, gpu: str, options: Sequence[str]) -> str:
    """Return the key of an engine.

    Args:
        model: Path of the model.
        version: Version of TensorRT.
        gpu: Name of the GPU.
        options: Options of the build, without paths.
    """
    parts = [digest_of_file(model), version, gpu, list(options)]
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()


class EngineCache:
    """The folder of engines."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find(self, key: str) -> str:
        """Return the path of a whole engine, which counts as used now; empty where there is none.

        A damaged one is removed.
        """
        for path, own_key, digest in self._engines():
            if own_key != key:
                continue
            with contextlib.suppress(OSError):
                if digest_of_file(path) == digest:
                    os.utime(path)
                    return path
            self.drop(path)
        return ""

    def keep(self, path: str, key: str) -> str:
        """Move an engine into the folder, bring it onto the disk, and return its new path.

        Engines that were used longest ago are removed where there are too many.

        Raises:
            OSError: It cannot be kept.
        """
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        target = os.path.join(self._folder, "{}.{}.plan".format(key, digest_of_file(path)))
        os.chmod(path, 0o600)
        os.replace(path, target)
        self._collect(target)
        return target

    def drop(self, path: str) -> None:
        """Remove an engine."""
        with contextlib.suppress(OSError):
            os.unlink(path)

    def _collect(self, newest: str) -> None:
        engines = [path for path, _, _ in self._engines() if path != newest]
        ages = sorted(((_state(path), path) for path in engines), reverse=True)
        count, size = 1, _state(newest)[1]
        for (_, own_size), path in ages:
            count, size = count + 1, size + own_size
            if count > MOST_ENGINES or size > MOST_BYTES:
                self.drop(path)

    def _engines(self) -> List[Tuple[str, str, str]]:
        engines = []
        for name in sorted(os.listdir(self._folder)):
            match, path = _NAME.match(name), os.path.join(self._folder, name)
            if match and os.path.isfile(path) and not os.path.islink(path):
                engines.append((path, match.group(1), match.group(2)))
        return engines


def _state(path: str) -> Tuple[float, int]:
    """Time of the last use, and size."""
    try:
        state = os.lstat(path)
    except OSError:
        return 0.0, 0
    return state.st_mtime, state.st_size
