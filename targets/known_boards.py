"""Boards that were probed before: what starts their agent at once, without another probe.

Only time is saved by it: an entry that is wrong is found out when the agent does not start, and the
board is probed again.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from device_agent.contract.records import RecordError, parse_json, read_record
from targets.file_edit import replace_file
from targets.inventory import Target

SCHEMA = 1

#: Largest file that is read; 100,000 boards take 40 MB.
_MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class KnownBoard:
    """What a probe found out about the start of a board's agent."""

    place: str
    """Address, host key, root and Python of the target at that time: of another one, nothing here
    holds."""
    root: str
    """Absolute path of the folder that belongs to kedge."""
    python: str
    """Path of the interpreter that runs the agent."""
    agent_sha256: str
    """Digest of the agent that is there."""
    code_tag: str = ""
    """Tag by which this Python names its compiled code, such as `cpython-311`; empty for none."""
    runtimes: dict[str, list[str]] = field(default_factory=dict)
    """Distribution and version of the runtime by format of model files, as it was chosen last."""
    mount_options: list[str] = field(default_factory=list)
    """Mount options of the file system of `root`."""


class KnownBoards:
    """Known boards of one project, by name of the target; used by several threads."""

    def __init__(self, path: Path | None = None) -> None:
        """Read a file of known boards.

        Args:
            path: File to read, and to write by `save`; one that is absent, damaged or of another
                kedge counts as empty. `None` to keep them in memory only.
        """
        self._path = path
        self._lock = threading.Lock()
        self._boards = _read(path) if path is not None else {}
        self._has_changed = False

    def get(self, target: Target) -> KnownBoard | None:
        """Return what is known of a board; `None` where nothing holds for it."""
        board = self._boards.get(target.name)
        return board if board is not None and board.place == place_text(target) else None

    def keep(self, target: Target, board: KnownBoard) -> None:
        """Remember a board."""
        with self._lock:
            self._has_changed |= self._boards.get(target.name) != board
            self._boards[target.name] = board

    def save(self) -> None:
        """Write the file if something has changed; a disk that refuses it costs time only."""
        with self._lock:
            if self._path is None or not self._has_changed:
                return
            boards = {name: asdict(board) for name, board in sorted(self._boards.items())}
            self._has_changed = False
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, json.dumps({"schema": SCHEMA, "boards": boards}).encode())
        except OSError:
            return


def place_text(target: Target) -> str:
    """Return all of a target by which an entry stops to hold when it changes."""
    python = target.execution.python or ""
    return json.dumps(
        [target.address, target.host_key, target.host_ca, target.root, target.jump, python]
    )


def _read(path: Path) -> dict[str, KnownBoard]:
    boards: dict[str, KnownBoard] = {}
    try:
        if path.stat().st_size > _MOST_BYTES:
            return {}
        plain: Any = parse_json(path.read_bytes())
        if plain["schema"] != SCHEMA:
            return {}
        for name, entry in plain["boards"].items():
            boards[str(name)] = read_record(KnownBoard, entry)
    except (OSError, RecordError, KeyError, TypeError, AttributeError):
        return {}
    return boards
