"""Reads a board without changing it, and says whether it is ready and what its first use sends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from targets.agent_archive import agent_archive
from targets.device import OnProgress
from targets.doctor import Diagnosis, FirstUse, WheelToSend, diagnose, require_space
from targets.inventory import Target
from targets.probe import Probe, probe
from targets.provision import connect
from targets.runtimes.runtime import RuntimeChoice, about_wheel_bytes
from targets.runtimes.wheels import tree_digest, wheel_here


@dataclass(frozen=True)
class Checked:
    """A board that was read."""

    seen: Probe
    diagnosis: Diagnosis
    first_use: FirstUse


def check_board(target: Target, wheelhouse: Path | None, on_progress: OnProgress) -> Checked:
    """Read a board and judge it; nothing is written there, and no agent is placed.

    Args:
        target: The board.
        wheelhouse: Where wheels are looked up to tell their sizes; the cache if not given.
        on_progress: Called before each step that may take a while.

    Raises:
        TargetError: The board cannot be reached, or has no shell.
    """
    on_progress(f"connect to {target.name}", 0, 0)
    archive = agent_archive()
    with connect(target) as transport:
        on_progress(f"read {target.name}", 0, 0)
        seen = probe(
            transport,
            target.root,
            archive.sha256,
            python=target.execution.python,
            all_pythons=True,
        )
    diagnosis = diagnose(seen, target.execution.runtime)
    first_use = _first_use(seen, diagnosis.choice, len(archive.content), wheelhouse)
    findings = (*diagnosis.findings, *require_space(seen.free_bytes, first_use))
    return Checked(seen, replace(diagnosis, findings=findings), first_use)


def _first_use(
    seen: Probe, choice: RuntimeChoice | None, agent_bytes: int, wheelhouse: Path | None
) -> FirstUse:
    """Tell what the first push or benchmark will send."""
    wheels = choice.wheels if choice else ()
    paths = [wheel_here(wheel, wheelhouse) for wheel in wheels]
    there: bool | None = None
    known = [path for path in paths if path is not None]
    if not wheels:
        there = choice is not None  # the board's own
    elif not seen.trees:
        there = False
    elif len(known) == len(wheels):
        there = tree_digest(known) in seen.trees
    to_send = [
        WheelToSend(
            name=f"{wheel.distribution} {wheel.version}",
            size_bytes=path.stat().st_size if path else about_wheel_bytes(wheel),
            is_exact=path is not None,
        )
        for wheel, path in zip(wheels, paths, strict=True)
    ]
    return FirstUse(
        agent_bytes=0 if seen.has_agent else agent_bytes,
        wheels=() if there else tuple(to_send),
        has_agent=seen.has_agent,
        has_runtime=there,
    )
