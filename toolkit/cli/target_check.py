"""`kedge target check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from device_agent.contract.runtimes import TENSORRT
from toolkit.cli import output
from toolkit.cli.completion import complete_targets
from toolkit.cli.options import as_json, file_path
from toolkit.report import words

if TYPE_CHECKING:
    from device_agent.contract.facts import Accelerator, BoardRuntime, Facts
    from targets.doctor import Diagnosis, Finding, FirstUse, FormatFit
    from targets.probe import Probe
    from toolkit.check import BoardCheck

#: Exit code of a command that would need the board: the way to it is not ready.
EXIT_NOT_READY = 6


@click.command("check")
@click.argument("name", shell_complete=complete_targets)
@click.option(
    "--wheelhouse",
    type=file_path(),
    envvar="KEDGE_WHEELHOUSE",
    help="Folder with wheels, used to say what will be sent.",
)
@as_json
def check(name: str, wheelhouse: Path | None, as_json: bool) -> int:
    """Show what a board is, which runtime it will use, and what prevents its use.

    The command only reads the board: it writes nothing there and places no agent. The exit code is
    0 for READY and READY WITH CAUTION, and 6 for NOT READY.

    \b
    kedge target check pi
    kedge target check pi --json
    """
    from targets.doctor import NOT_READY
    from toolkit.check import check_board
    from toolkit.project import find_target

    target = find_target(name)
    with output.progress() as show:
        checked = check_board(target, wheelhouse, show)
    if as_json:
        output.print_json({"schema": 1, "name": name, **_plain(checked)})
    else:
        _print(f"{name} ({target.address})", checked)
    return EXIT_NOT_READY if checked.diagnosis.verdict == NOT_READY else 0


def _print(title: str, checked: BoardCheck) -> None:
    diagnosis = checked.diagnosis
    output.table(title, ["", "value"], _rows(checked.probe, diagnosis))
    if diagnosis.python is not None:
        rows = [
            [f"{entry.runtime.distribution} {entry.runtime.version}", entry.refusal or "will load"]
            for entry in diagnosis.runtimes
        ]
        output.table("", [f"runtime with Python {diagnosis.facts.python}", ""], rows)
    for line in map(_format_line, diagnosis.formats):
        output.say(line)
    if diagnosis.choice is not None:
        output.say(_first_use_line(checked.first_use))
    output.say(diagnosis.verdict)
    for finding in diagnosis.findings:
        output.say(f"  {_mark(finding)} {finding.cause}")
        output.say(f"    → {finding.fix}")


def _format_line(fit: FormatFit) -> str:
    if fit.choice is None:
        return f"a .{fit.format} does not run there: {fit.cause}\n    → {fit.fix}"
    return f"a .{fit.format} runs on {fit.choice.distribution} {fit.choice.version}"


def _mark(finding: Finding) -> str:
    from targets.doctor import BLOCKS

    return "stops:" if finding.level == BLOCKS else "note: "


def _rows(board: Probe, diagnosis: Diagnosis) -> list[list[str]]:
    facts = diagnosis.facts
    free = words.size(board.free_bytes) if board.free_bytes is not None else "unknown"
    libraries = ", ".join(filter(None, [facts.libc or "no known C library", _glibcxx(facts)]))
    rows = [
        ["board", _board(diagnosis)],
        ["system", f"{facts.os or 'unknown'}, kernel {facts.kernel or 'unknown'}"],
        ["programs are", f"{facts.machine or 'unknown'}, {libraries}"],
        ["cores", _cores(facts)],
        ["CPU features", " ".join(facts.cpu_features) or "unknown"],
        ["memory", _memory(facts)],
        ["free for kedge", f"{free} at {board.root}"],
        ["pythons", ", ".join(_python_text(board, diagnosis)) or "none"],
    ]
    rows += [["accelerator", _accelerator(entry)] for entry in facts.accelerators]
    for entry in facts.board_runtimes:
        if entry.name == TENSORRT:
            rows.append(["TensorRT", _tensorrt(entry)])
        elif entry.providers:
            text = f"{entry.version}, with {entry.providers}"
            rows.append([f"its own {entry.name}", text])
    if facts.sftp is not None:
        rows.append(["SFTP", "yes" if facts.sftp else "no, and kedge needs none"])
    runs_in = [f"container of {facts.container}"] if facts.container else []
    runs_in += ["emulation"] if facts.emulated else []
    if runs_in:
        rows.append(["runs in", ", ".join(runs_in)])
    return rows


def _board(diagnosis: Diagnosis) -> str:
    model = diagnosis.facts.model or "unknown"
    return f"{model} ({diagnosis.profile.id})" if diagnosis.profile else model


def _glibcxx(facts: Facts) -> str:
    return f"GLIBCXX {facts.glibcxx}" if facts.glibcxx else ""


def _cores(facts: Facts) -> str:
    kinds = [
        f"{len(kind.cores)} {kind.name or kind.part}"
        + (f" at {kind.max_khz / 1000:.0f} MHz" if kind.max_khz else "")
        for kind in facts.core_classes
        if kind.name or kind.part
    ]
    return " + ".join(kinds) or str(facts.cores or "unknown")


def _memory(facts: Facts) -> str:
    size = words.size(facts.memory_bytes) if facts.memory_bytes else "unknown"
    return f"{size}, pages of {facts.page_bytes // 1024} KiB" if facts.page_bytes else size


def _python_text(board: Probe, diagnosis: Diagnosis) -> list[str]:
    return [
        "{}.{}".format(*python.version)
        + (" behind a shim" if python.is_shim else "")
        + (" (chosen)" if python == diagnosis.python and len(board.pythons) > 1 else "")
        for python in board.pythons
    ]


def _accelerator(entry: Accelerator) -> str:
    speed = f"{entry.usb_mbits} Mbit/s" if entry.usb_mbits else ""
    return ", ".join(filter(None, [entry.kind, entry.path, entry.state, speed]))


def _tensorrt(entry: BoardRuntime) -> str:
    return f"{entry.version}, {entry.path}, {entry.gpu or 'no NVIDIA GPU'}"


def _first_use_line(first_use: FirstUse) -> str:
    parts = [] if first_use.has_agent else [f"agent {words.size(first_use.agent_bytes)}"]
    parts += [
        f"{wheel.name} {'' if wheel.is_exact else 'about '}{words.size(wheel.size_bytes)}"
        for wheel in first_use.wheels
    ]
    if not parts:
        return "first use sends nothing: agent and runtime are there"
    unsure = " (less if the runtime is there already)" if first_use.has_runtime is None else ""
    return f"first use sends {words.size(first_use.total_bytes)}: {', '.join(parts)}{unsure}"


def _plain(checked: BoardCheck) -> dict[str, Any]:
    """All of it as docs/boards.md describes it; fields are added, never changed."""
    board, diagnosis, first_use = checked.probe, checked.diagnosis, checked.first_use
    choice, python = diagnosis.choice, diagnosis.python
    return {
        "verdict": diagnosis.verdict,
        "findings": [
            {"level": entry.level, "cause": entry.cause, "fix": entry.fix, "source": entry.source}
            for entry in diagnosis.findings
        ],
        "board": {"id": diagnosis.profile.id, "name": diagnosis.profile.name}
        if diagnosis.profile
        else None,
        "facts": diagnosis.facts.plain,
        "pythons": [
            {
                "version": "{}.{}".format(*entry.version),
                "executable": entry.executable,
                "is_shim": entry.is_shim,
                "lacks": list(entry.lacks),
                "installed": dict(entry.installed),
                "runtimes": [dict(runtime) for runtime in entry.runtimes],
                "chosen": entry == python,
            }
            for entry in board.pythons
        ],
        "runtime": {"distribution": choice.distribution, "version": choice.version}
        if choice
        else None,
        **_plain_runtimes(diagnosis),
        "root": board.root,
        "writable": board.writable,
        "mount_options": list(board.mount_options),
        "free_bytes": board.free_bytes,
        "first_use": {
            "total_bytes": first_use.total_bytes,
            "agent_bytes": first_use.agent_bytes,
            "has_agent": first_use.has_agent,
            "has_runtime": first_use.has_runtime,
            "wheels": [
                {"name": wheel.name, "size_bytes": wheel.size_bytes, "is_exact": wheel.is_exact}
                for wheel in first_use.wheels
            ],
        },
    }


def _plain_runtimes(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "runtimes": [
            {
                "format": entry.runtime.format,
                "distribution": entry.runtime.distribution,
                "version": entry.runtime.version,
                "loads": entry.refusal is None,
                "reason": entry.refusal,
            }
            for entry in diagnosis.runtimes
        ],
        "formats": [
            {
                "format": fit.format,
                "runtime": {"distribution": fit.choice.distribution, "version": fit.choice.version}
                if fit.choice
                else None,
                "reason": fit.cause or None,
                "fix": fit.fix or None,
            }
            for fit in diagnosis.formats
        ],
    }
