"""Reads a board without changing it, and says whether it is ready and what its first use sends."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from targets.agent_archive import agent_archive
from targets.doctor import Diagnosis, FirstUse, WheelToSend, diagnose, require_files, require_space
from targets.errors import TargetError
from targets.inventory import Target
from targets.probe import Probe, probe_board
from targets.progress import OnProgress
from targets.provision import connect
from targets.runtimes.fit import about_wheel_bytes
from targets.runtimes.release import RuntimeChoice
from targets.runtimes.wheels import WheelFile, find_local_wheel, tree_digest

#: Format of the files that a conversion writes: a board is judged by whether it runs these.
CONVERTED_FORMAT = "tflite"

#: Verdict of a board that no check could be made of.
UNREACHABLE = "UNREACHABLE"

#: Boards that are checked at the same time; the host only waits.
_AT_ONCE = 32


@dataclass(frozen=True)
class BoardCheck:
    """A board, read and judged."""

    probe: Probe
    diagnosis: Diagnosis
    first_use: FirstUse


def check_board(target: Target, wheelhouse: Path | None, on_progress: OnProgress) -> BoardCheck:
    """Read a board and judge it; nothing is written there, and no agent is placed.

    Args:
        target: Board.
        wheelhouse: Folder of wheels whose sizes are read; the cache if not given.
        on_progress: Called before each step that may take a while.

    Raises:
        TargetError: The board cannot be reached, or has no shell, or a wheel for it on this
            computer is not the published one.
    """
    on_progress(f"connect to {target.name}", 0, 0)
    archive = agent_archive()
    with connect(target) as transport:
        on_progress(f"read {target.name}", 0, 0)
        board = probe_board(
            transport,
            target.root,
            archive.sha256,
            python=target.execution.python,
            all_pythons=True,
        )
    diagnosis = diagnose(board, CONVERTED_FORMAT, target.execution.runtime)
    wheels = diagnosis.choice.wheels if diagnosis.choice else ()
    files = [find_local_wheel(wheel, wheelhouse, target.execution.wheels) for wheel in wheels]
    first_use = _first_use(board, diagnosis.choice, len(archive.content), files)
    findings = (
        *diagnosis.findings,
        *require_space(board.free_bytes, first_use),
        *require_files(board.free_files, first_use),
    )
    return BoardCheck(board, replace(diagnosis, findings=findings), first_use)


@dataclass(frozen=True)
class BoardStatus:
    """What a list of boards says about one of them."""

    verdict: str
    """Verdict of the check, or `UNREACHABLE`."""
    reason: str
    """First finding that is not well, or why the board cannot be reached; "" if all is well."""


def check_many(targets: Sequence[Target], on_progress: OnProgress) -> dict[str, BoardStatus]:
    """Check boards at the same time; none stops another.

    Args:
        targets: Boards, each once.
        on_progress: Called from several threads, each with its target's name.

    Returns:
        Status of each target by its name.
    """

    def check(target: Target) -> BoardStatus:
        def show(what: str, done: int, total: int) -> None:
            on_progress(f"{target.name}: {what}", done, total)

        try:
            diagnosis = check_board(target, None, show).diagnosis
        except TargetError as error:
            return BoardStatus(UNREACHABLE, str(error).splitlines()[0])
        cause = diagnosis.findings[0].cause if diagnosis.findings else ""
        return BoardStatus(diagnosis.verdict, cause)

    with ThreadPoolExecutor(_AT_ONCE) as workers:
        statuses = list(workers.map(check, targets))
    return {target.name: status for target, status in zip(targets, statuses, strict=True)}


def _first_use(
    board: Probe,
    choice: RuntimeChoice | None,
    agent_bytes: int,
    files: Sequence[WheelFile | None],
) -> FirstUse:
    """Return what the first push or benchmark will send.

    Args:
        board: Board, read.
        choice: Runtime that the board gets; `None` for none.
        agent_bytes: Size of the agent.
        files: File of each wheel of the choice; `None` for one that is not on this computer.
    """
    wheels = choice.wheels if choice else ()
    has_runtime: bool | None = None
    present = [file for file in files if file is not None]
    if not wheels:
        has_runtime = choice is not None  # the board's own
    elif not board.trees:
        has_runtime = False
    elif len(present) == len(wheels):
        has_runtime = tree_digest(present) in board.trees
    to_send = [
        WheelToSend(
            name=f"{wheel.distribution} {wheel.version}",
            size_bytes=file.path.stat().st_size if file else about_wheel_bytes(wheel),
            is_exact=file is not None,
        )
        for wheel, file in zip(wheels, files, strict=True)
    ]
    return FirstUse(
        agent_bytes=0 if board.has_agent else agent_bytes,
        wheels=() if has_runtime else tuple(to_send),
        has_agent=board.has_agent,
        has_runtime=has_runtime,
    )
