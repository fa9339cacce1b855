"""Sends a model file into the scratch area of many boards at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from converters.errors import ConversionError
from converters.formats import read_model_file
from device_agent.contract.codes import IntegrityError
from targets.errors import TargetError
from targets.staged_file import StagedFile
from toolkit.errors import ToolkitError
from toolkit.fleet.connections import BoardConnections
from toolkit.fleet.outcomes import BoardError
from toolkit.fleet.status import AT_ONCE


@dataclass(frozen=True)
class PushResult:
    """Result of one board."""

    target: str
    staged: StagedFile | None = None
    """File on the board; `None` where it did not arrive."""
    error: BoardError | None = None
    """Reason why it did not arrive; `None` where it did."""
    overridden: str = ""
    """Refusal of the runtime that was overridden; "" where there was none."""


def push_to_boards(
    path: Path,
    names: Sequence[str],
    connections: BoardConnections,
    on_board: Callable[[PushResult], None],
    force: bool = False,
) -> list[PushResult]:
    """Send a model file to boards; none waits for another, none stops another.

    Args:
        path: Model file.
        names: Names of targets.
        connections: Connections to the boards.
        on_board: Called from several threads with each board when it is done.
        force: Whether a refusal of the runtime of a board is overridden.

    Returns:
        Results in the order of the names.

    Raises:
        ConversionError: The file is no whole model file.
    """
    contents, content = read_model_file(path), path.read_bytes()

    def visit(name: str) -> PushResult:
        try:
            staged, refusal = connections.push(name, contents, content, force)
            result = PushResult(name, staged, overridden=refusal)
        except (ConversionError, TargetError, IntegrityError, ToolkitError) as error:
            result = PushResult(name, error=error)
        on_board(result)
        return result

    with ThreadPoolExecutor(AT_ONCE) as workers:
        return list(workers.map(visit, names))
