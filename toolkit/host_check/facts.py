"""Reads what `kedge doctor` judges: packages, SSH keys, programs, disks, the project."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

from converters.sandbox import sandbox_around
from targets.project_file import find_file
from toolkit.errors import ToolkitError
from toolkit.project import conversion_cache, open_inventory

#: Extras of kedge to what each is for, in the words of a hint.
EXTRAS = {
    "convert": "convert models",
    "onnx": "read, judge and send .onnx files",
    "torch": "take PyTorch models",
    "report": "write reports with plots",
    "tensorboard": "look at the figures of a training, and for --track tensorboard",
    "mlflow": "send results to MLflow by --track mlflow",
    "wandb": "write results for W&B by --track wandb",
}
#: Programs that add something, and what.
PROGRAMS = {
    "ssh-keygen": "sign releases",
    "bwrap": "run a conversion without network, in its own folders",
    "edgetpu_compiler": "compile for the Edge TPU",
}
#: Names of keys that SSH tries by itself, also without a .pub beside them.
_USUAL_KEYS = ("id_ecdsa", "id_ed25519", "id_rsa")
#: Seconds that an SSH agent has to list its keys.
_AGENT_S = 5.0


@dataclass(frozen=True)
class PackageFact:
    """One package that kedge asks for."""

    requirement: str
    """Requirement as kedge states it, such as "numpy>=1.23.2"."""
    version: str
    """Version that is installed; "" for none."""
    fits: bool
    """Whether this version is one of those that kedge asks for."""


@dataclass(frozen=True)
class HostFacts:
    """What this computer has."""

    python: str
    machine: str
    system: str
    packages: Mapping[str, tuple[PackageFact, ...]]
    """Packages of kedge itself under "", and of each extra under its name."""
    key_files: tuple[str, ...]
    """Private keys in ~/.ssh."""
    open_key_files: tuple[str, ...]
    """Private keys that others may read, which SSH refuses."""
    agent: str
    """Words of the SSH agent's answer; "" where there is no agent."""
    agent_keys: int
    """Number of keys of the SSH agent."""
    programs: Mapping[str, str]
    """Program to its path; "" for a missing one."""
    sandbox: str
    """Limits of a conversion's process, or the reason for having none."""
    free_bytes: Mapping[str, int]
    """Folder to the room on its disk, one folder of each disk."""
    project: str
    """File of the project; "" where there is none."""
    project_problem: str
    """Reason why the project cannot be used; "" where it can."""
    targets: int
    """Number of targets of the project."""


def read_host_facts() -> HostFacts:
    """Read everything; nothing is changed, and no board is asked."""
    keys = _key_files()
    answer, count = _agent()
    project, problem, targets = _project()
    return HostFacts(
        python=platform.python_version(),
        machine=platform.machine(),
        system=platform.platform(terse=True),
        packages={name: _packages(name) for name in ("", *EXTRAS)},
        key_files=tuple(path.name for path in keys),
        open_key_files=tuple(path.name for path in keys if path.stat().st_mode & 0o077),
        agent=answer,
        agent_keys=count,
        programs={name: shutil.which(name) or "" for name in PROGRAMS},
        sandbox=sandbox_around([]).words,
        free_bytes=_free_bytes(),
        project=project,
        project_problem=problem,
        targets=targets,
    )


def _packages(extra: str) -> tuple[PackageFact, ...]:
    facts = []
    environment: dict[str, str] = {**default_environment(), "extra": extra}  # type: ignore[dict-item]
    for text in requires("kedge") or ():
        requirement = Requirement(text)
        marker = requirement.marker
        of_extra = marker is not None and "extra" in str(marker)
        if of_extra != bool(extra) or (marker is not None and not marker.evaluate(environment)):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            found = ""
        fits = bool(found) and requirement.specifier.contains(found, prereleases=True)
        plain = f"{requirement.name}{requirement.specifier}"
        facts.append(PackageFact(plain, found, fits))
    return tuple(facts)


def _key_files() -> list[Path]:
    try:
        folder = Path.home() / ".ssh"
        names = {path.stem for path in folder.glob("*.pub")} | set(_USUAL_KEYS)
        return [folder / name for name in sorted(names) if (folder / name).is_file()]
    except (OSError, RuntimeError):
        return []


def _agent() -> tuple[str, int]:
    if not os.environ.get("SSH_AUTH_SOCK") or shutil.which("ssh-add") is None:
        return "", 0
    try:
        done = subprocess.run(
            ["ssh-add", "-l"], capture_output=True, text=True, errors="replace", timeout=_AGENT_S
        )
    except subprocess.TimeoutExpired:
        return "it does not answer", 0
    except OSError as error:
        return str(error), 0
    if done.returncode == 0:
        return "it answers", len(done.stdout.splitlines())
    return (done.stdout + done.stderr).strip(), 0


def _free_bytes() -> dict[str, int]:
    try:
        cache = str(conversion_cache())
    except ToolkitError:
        cache = ""
    folders = [str(Path.cwd()), tempfile.gettempdir(), cache]
    disks: dict[int, str] = {}
    for folder in filter(None, folders):
        disks.setdefault(_existing(folder).stat().st_dev, folder)
    return {folder: shutil.disk_usage(_existing(folder)).free for folder in disks.values()}


def _existing(folder: str) -> Path:
    path = Path(folder)
    while not path.exists():
        path = path.parent
    return path


def _project() -> tuple[str, str, int]:
    """Return file, problem and number of targets of the project around the current folder."""
    path = find_file(Path.cwd())
    if path is None:
        return "", "", 0
    try:
        return str(path), "", len(open_inventory().targets)
    except Exception as error:  # every kind of unusable project is a finding
        if not hasattr(error, "hint"):
            raise
        return str(path), str(error), 0
