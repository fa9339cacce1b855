"""What a board is before anything is sent to it: read by one shell script, without changing it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from device_agent.contract.facts import Facts, facts_from_json
from targets.errors import TargetError
from targets.probe_script import COMMAND, probe_script
from targets.runtimes.fit import rank, unbeatable_pythons
from targets.transport import Transport

#: Every Python of a slow board may be started, and each shim of a version manager is slow.
PROBE_TIMEOUT_S = 60.0

#: The agent's floor; docs/decisions.md says why.
OLDEST_PYTHON = (3, 7)

_PYTHON = re.compile(
    r"python=(?P<major>[0-9]{1,3})\.(?P<minor>[0-9]{1,3})(?P<shim> shim)?"
    r"( lacks:(?P<lacks>[\w,]+))? (?P<executable>/.*)\Z"
)
_COUNT = re.compile(r"[0-9]{1,18}\Z")


class NoPythonError(TargetError):
    """The board has no Python that can run the agent."""


@dataclass(frozen=True)
class Python:
    """An interpreter on the board."""

    version: tuple[int, int]
    executable: str
    """Its real path, never a shim."""
    is_shim: bool = False
    """Whether it was found through a shim of a version manager."""
    lacks: tuple[str, ...] = ()
    """Modules of the standard library that the agent needs and this one does not have."""
    installed: Mapping[str, str | None] = field(default_factory=dict)
    """Versions of the packages that matter; `None` for one that it does not have."""
    runtimes: tuple[Mapping[str, Any], ...] = ()
    """Those that it has of its own, as `device_agent.board.board_runtimes` tells them."""

    @property
    def runs_the_agent(self) -> bool:
        """Whether it is new enough and whole."""
        return self.version >= OLDEST_PYTHON and not self.lacks


@dataclass(frozen=True)
class Probe:
    """What the script saw."""

    machine: str
    """Architecture of the kernel; `facts` tell that of the userland."""
    root: str
    """Absolute path of the folder that belongs to kedge."""
    writable: bool
    free_bytes: int | None
    has_agent: bool
    pythons: tuple[Python, ...]
    """Those that were asked, each once; the asking may end at one that no other can beat."""
    facts: Facts = Facts()
    """Facts about the board; fewer of them where no Python could report them."""
    mount_options: tuple[str, ...] = ()
    """Of the file system of `root`."""
    trees: tuple[str, ...] = ()
    """Digests of the runtimes that kedge brought there before."""
    refused_python: str = ""
    """A Python that is there, but that the board's system does not let run."""
    keeps_files: bool = True
    """Not so in `/proc` and its like, which even root cannot fill, though the kernel says so."""
    asked_python: str = ""
    """The only Python that was asked, as kedge.toml names it."""
    blocked: str = ""
    """What is not a folder, though `root` is it or should be below it."""

    @property
    def root_refusal(self) -> str:
        """Why kedge has no place on this board; empty where it has."""
        if not self.keeps_files:
            return f"{self.root} lies in a file system that keeps no files (such as /proc)"
        if self.blocked:
            return f"{self.blocked} is not a folder"
        return "" if self.writable else f"{self.root} cannot be written"

    @cached_property
    def python(self) -> Python:
        """The interpreter that will run the agent: the one that gets the best runtime.

        Raises:
            NoPythonError: There is none that is new enough.
        """
        able = [python for python in self.pythons if python.runs_the_agent]
        if able:
            return min(
                able, key=lambda python: (rank(self.facts_with(python)), not python.runtimes)
            )
        for python in self.pythons:
            if python.lacks:
                raise NoPythonError(
                    f"the board's Python {_dotted(python)} lacks {', '.join(python.lacks)}, "
                    "which the agent needs",
                    "Install the whole standard library; on Yocto: python3-modules.",
                )
        if self.refused_python and not self.pythons:
            raise NoPythonError(
                f"the board does not let {self.refused_python} run: permission denied",
                "Is it on a file system that is mounted noexec, or does SELinux or AppArmor "
                "forbid it?",
            )
        if self.asked_python and not self.pythons:
            raise NoPythonError(
                f"kedge.toml names the Python {self.asked_python} for this target, which is not "
                "there, or is none",
                "Correct `python` of the target in kedge.toml, or leave it out: all are tried.",
            )
        seen = ", ".join(map(_dotted, self.pythons)) or "none"
        raise NoPythonError(
            f"the board needs Python 3.7 or newer to run the agent; found: {seen}",
            "Install one on the board, such as: sudo apt-get install python3",
        )

    def facts_with(self, python: Python) -> Facts:
        """Return the facts of the board as they are for one of its Pythons."""
        whole = self.facts.python
        is_this = whole.split(".")[:2] == _dotted(python).split(".")
        return facts_from_json(
            {
                **self.facts.plain,
                "python": whole if is_this else _dotted(python),
                "python_executable": python.executable,
                "installed": dict(python.installed),
                "board_runtimes": [dict(runtime) for runtime in python.runtimes],
            }
        )


def probe(
    transport: Transport,
    root: str,
    agent_sha256: str,
    python: str | None = None,
    *,
    all_pythons: bool = False,
) -> Probe:
    """Look at a board.

    Args:
        transport: The way to it.
        root: The folder that belongs to kedge there; may start with `~/`.
        agent_sha256: Digest of the agent that would be started.
        python: The only Python to ask, by its path on the board; all that are found if not given.
        all_pythons: Ask every Python, also when one was found that no other can beat.

    Raises:
        TargetError: What answers there is no POSIX shell.
    """
    enough: Collection[int] = () if all_pythons else unbeatable_pythons()
    script = probe_script(root, agent_sha256, enough, python)
    done = transport.run(COMMAND, script, PROBE_TIMEOUT_S)
    seen = read_probe(
        done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    )
    return replace(seen, asked_python=python or "")


def read_probe(output: str, complaint: str = "") -> Probe:
    """Read what the script printed; lines of a chatty login shell are passed over.

    Raises:
        TargetError: The script did not run to its end.
    """
    told: dict[str, str] = {}
    several: dict[str, list[str]] = {"mounted": [], "tree": []}
    pythons: dict[str, dict[str, Any]] = {}
    latest: dict[str, Any] = {}
    for line in output.splitlines():
        key, _, value = line.partition("=")
        if found := _PYTHON.match(line):
            latest = pythons.setdefault(found["executable"], _python_fields(found))
        elif key == "installed":
            latest[key] = _json_object(value)
        elif key == "runtimes":
            latest[key] = _json_objects(value)
        elif key in several:
            several[key].append(value)
        else:
            told[key] = value
    if told.get("end") != "yes" or not told.get("root"):
        said = (complaint or output).strip()[-300:] or "nothing"
        raise TargetError(
            f"the board has no usable shell; it said: {said}",
            "kedge needs a login that may run `sh`: give the user a login shell "
            "(chsh -s /bin/sh), or take the forced command off its key.",
        )
    if told.get("home") == "none":
        raise TargetError(
            "the board's login has no home folder: HOME is not set",
            "Name a whole path: --root FOLDER of `kedge target add`, or `root` in kedge.toml.",
        )
    free = _count(told.get("free_kib", ""))
    keeps_files = told.get("size_kib") != "0"
    return Probe(
        machine=told.get("machine", ""),
        root=told["root"],
        writable=told.get("writable") == "yes" and keeps_files and "blocked" not in told,
        free_bytes=free * 1024 if free is not None else None,
        has_agent=told.get("agent") == "yes",
        pythons=tuple(Python(**fields) for fields in pythons.values()),
        facts=facts_from_json(_json_object(told.get("facts", "")) or _facts_of_sh(told)),
        mount_options=_options(several["mounted"], told.get("mount", "")),
        refused_python=told.get("refused", ""),
        trees=tuple(several["tree"]),
        keeps_files=keeps_files,
        blocked=told.get("blocked", ""),
    )


def _python_fields(found: re.Match[str]) -> dict[str, Any]:
    return {
        "version": (int(found["major"]), int(found["minor"])),
        "executable": found["executable"],
        "is_shim": bool(found["shim"]),
        "lacks": tuple((found["lacks"] or "").split(",")) if found["lacks"] else (),
    }


def _facts_of_sh(told: Mapping[str, str]) -> dict[str, Any]:
    """What a board without Python tells: enough to say what it is, and why nothing loads."""
    machine = told.get("machine", "")
    if told.get("bits") == "1" and machine in ("aarch64", "armv8l"):  # ELFCLASS32
        machine = "armv7l"
    libc = told.get("libc", "")
    version = re.search(r"Version ([0-9.]+)", libc)
    if "musl" in libc:
        libc = f"musl {version[1]}" if version else "musl"
    memory = _count(told.get("memory_kib", ""))
    return {
        "machine": machine,
        "kernel": told.get("kernel", ""),
        "kernel_machine": told.get("machine", ""),
        "libc": libc if re.match(r"(glibc|musl)\b", libc) else "",
        "memory_bytes": memory * 1024 if memory is not None else 0,
        "cores": _count(told.get("cores", "")) or 0,
        "model": told.get("model", ""),
        "compatible": told.get("compatible", "").split(),
        "os": told.get("os", ""),
    }


def _options(mounted: list[str], place: str) -> tuple[str, ...]:
    """The options of the mount at `place`; the last of several is the one that is seen."""
    options = ""
    for line in mounted:
        first, _, mount = line.partition(" ")
        if mount.replace("\\040", " ") == place:  # the kernel writes a space so
            options = first
    return tuple(filter(None, options.split(",")))


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _json_objects(text: str) -> tuple[dict[str, Any], ...]:
    try:
        value = json.loads(text)
    except ValueError:
        return ()
    entries = value if isinstance(value, list) else []
    return tuple(entry for entry in entries if isinstance(entry, dict))


def _count(text: str) -> int | None:
    return int(text) if _COUNT.match(text) else None


def _dotted(python: Python) -> str:
    return "{}.{}".format(*python.version)
