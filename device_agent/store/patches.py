"""Makes files of the scratch area out of deltas that have arrived there."""

from __future__ import annotations

import contextlib
import os

from device_agent.store.delta import apply_delta
from device_agent.store.durable import open_file
from device_agent.store.store import Store


def write_patched(
    store: Store, algorithm: str, delta: str, base: str, sha256: str, size: int
) -> None:
    """Make a file out of a delta and a base; the delta goes then.

    Args:
        store: Store of the board.
        algorithm: Name of the algorithm of the delta.
        delta: Digest of the delta in the scratch area.
        base: Digest of the base on the board; empty for a delta that needs none.
        sha256: Digest of the new file.
        size: Size of the new file in bytes.

    Raises:
        RefusalError: The delta or the base is absent or damaged, or leads to another file; nothing
            of the new file stays.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(store.workspace())
        store.folders.require_space(size)
        delta_file = stack.enter_context(open(store.scratch.path(delta), "rb"))
        base_file = stack.enter_context(open(store.file_path(base), "rb")) if base else None
        path = os.path.join(folder, "target")
        handle = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(handle, "wb") as target:
            apply_delta(algorithm, delta_file, base_file, size, sha256, target.write)
            target.flush()
            os.fsync(target.fileno())
        store.scratch.take(path, sha256)
    store.scratch.drop([delta])
