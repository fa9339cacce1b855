"""Reads what a board is before anything is sent to it, with one script that changes nothing."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from device_agent.contract.facts import Facts, facts_from_json
from device_agent.contract.records import RecordError, parse_json
from targets.errors import TargetError
from targets.forced_command import require_commands
from targets.login_words import advice_on
from targets.probe_script import COMMAND, COMMAND_WORD, probe_script
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


#: Line of a startup file behind which only what a person sees belongs.
_INTERACTIVE = (
    "Only an interactive shell should do so: put `case $- in *i*) ;; *) return ;; esac` before it."
)


class NoPythonError(TargetError):
    """The board has no Python that can run the agent."""


@dataclass(frozen=True)
class Python:
    """An interpreter on the board."""

    version: tuple[int, int]
    executable: str
    """Path of the interpreter itself, never of a shim."""
    is_shim: bool = False
    """Whether a shim of a version manager led to it."""
    lacks: tuple[str, ...] = ()
    """Modules of the standard library that the agent needs and this Python does not have."""
    installed: Mapping[str, str | None] = field(default_factory=dict)
    """Versions of the packages that matter; `None` for one that it does not have."""
    runtimes: tuple[Mapping[str, Any], ...] = ()
    """Runtimes that it has of its own; see `device_agent.board.board_runtimes`."""
    build: Mapping[str, Any] = field(default_factory=dict)
    """Its implementation and the flags of its build; see `device_agent.board.facts`."""

    @property
    def runs_the_agent(self) -> bool:
        """Whether it is new enough and whole."""
        return self.version >= OLDEST_PYTHON and not self.lacks


@dataclass(frozen=True)
class Probe:
    """Answers of the script that reads a board."""

    machine: str
    """Architecture of the kernel; that of the userland is in `facts`."""
    root: str
    """Absolute path of the folder that belongs to kedge."""
    writable: bool
    free_bytes: int | None
    has_agent: bool
    pythons: tuple[Python, ...]
    """Pythons that were asked, each once; the script may end at one that no other can beat."""
    facts: Facts = Facts()
    """Facts about the board; fewer of them where no Python could report them."""
    mount_options: tuple[str, ...] = ()
    """Mount options of the file system of `root`."""
    trees: tuple[str, ...] = ()
    """Digests of the runtimes that kedge brought there before."""
    refused_python: str = ""
    """Path of a Python that the board's system does not let run; empty for none."""
    failed_python: str = ""
    """Exit code and path of a Python that ended without an answer; empty for none."""
    keeps_files: bool = True
    """Whether the file system keeps files; `/proc` does not, even where it looks writable."""
    requested_python: str = ""
    """Path of the only Python to ask, from kedge.toml; empty where it names none."""
    obstacle: str = ""
    """Path of a file in the place of `root` or of a folder above it; empty for none."""
    unsafe_cause: str = ""
    """Reason why others than the user may change `root`; empty where they may not."""
    unsafe_fix: str = ""
    """Next step where others may change `root`."""
    free_files: int = -1
    """Number of files that the file system of `root` still takes; -1 for no limit."""

    @property
    def root_refusal(self) -> str:
        """Reason why kedge has no place on this board; empty where it has one."""
        if not self.keeps_files:
            return f"{self.root} lies in a file system that keeps no files (such as /proc)"
        if self.obstacle:
            return f"{self.obstacle} is not a folder"
        return "" if self.writable else f"{self.root} cannot be written"

    @cached_property
    def python(self) -> Python:
        """The interpreter that will run the agent: the one that gets the best runtime.

        Raises:
            NoPythonError: No Python of the board runs the agent; the hint says what helps.
        """
        candidates = [python for python in self.pythons if python.runs_the_agent]
        if candidates:
            return min(
                candidates, key=lambda python: (rank(self.facts_with(python)), not python.runtimes)
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
        if self.failed_python and not self.pythons:
            code, _, path = self.failed_python.partition(" ")
            raise NoPythonError(
                f"the board has {path}, which ended without an answer (exit code {code}); the "
                "agent needs Python 3.7 or newer",
                f"Does it answer on the board: {path} -I -c 'import sys; print(sys.version)'? It "
                "may be Python 2, be damaged, wait for something, be a name that a version manager "
                "left, or meet a limit of the login (`ulimit -a`). If it does not, install one: "
                "sudo apt-get install python3",
            )
        if self.requested_python and not self.pythons:
            raise NoPythonError(
                f"kedge.toml names the Python {self.requested_python} for this target, which is "
                "not there, or is none",
                "Correct `python` of the target in kedge.toml, or leave it out: all are tried.",
            )
        versions = ", ".join(map(_dotted, self.pythons)) or "none"
        raise NoPythonError(
            f"the board needs Python 3.7 or newer to run the agent; found: {versions}",
            "Install one on the board, such as: sudo apt-get install python3",
        )

    def facts_with(self, python: Python) -> Facts:
        """Return the facts of the board as they are for one of its Pythons."""
        version = self.facts.python
        is_this = version.split(".")[:2] == _dotted(python).split(".")
        return facts_from_json(
            {
                **self.facts.plain,
                "python": version if is_this else _dotted(python),
                "python_executable": python.executable,
                **python.build,
                "installed": dict(python.installed),
                "board_runtimes": [dict(runtime) for runtime in python.runtimes],
            }
        )


def probe_board(
    transport: Transport,
    root: str,
    agent_sha256: str,
    python: str | None = None,
    *,
    all_pythons: bool = False,
) -> Probe:
    """Look at a board.

    Args:
        transport: Connection to the board.
        root: The folder that belongs to kedge there; may start with `~/`.
        agent_sha256: Digest of the agent that would be started.
        python: Path on the board of the only Python to ask; without it, all are asked.
        all_pythons: Whether to ask every Python, also after one that no other can beat.

    Raises:
        ForcedCommandError: The key of the target runs nothing but the agent on the board.
        TargetError: The login of the board has no POSIX shell; the user corrects the login.
    """
    enough: Collection[int] = () if all_pythons else unbeatable_pythons()
    script = probe_script(root, agent_sha256, enough, python)
    result = transport.run(COMMAND, script, PROBE_TIMEOUT_S)
    require_commands(result.stdout)
    probe = read_probe(
        result.stdout.decode("utf-8", "replace"), result.stderr.decode("utf-8", "replace")
    )
    return replace(probe, requested_python=python or "")


def read_probe(output: str, complaint: str = "") -> Probe:
    """Read what the script printed; lines of a chatty login shell are passed over.

    Raises:
        TargetError: The script did not run to its end: the login is not usable.
    """
    values: dict[str, str] = {}
    lists: dict[str, list[str]] = {"mounted": [], "tree": []}
    pythons: dict[str, dict[str, Any]] = {}
    fields: dict[str, Any] = {}
    for line in output.splitlines():
        key, _, value = line.partition("=")
        if match := _PYTHON.match(line):
            fields = pythons.setdefault(match["executable"], _python_fields(match))
        elif key == "installed" or key == "build":
            fields[key] = _json_object(value)
        elif key == "runtimes":
            fields[key] = _json_objects(value)
        elif key in lists:
            lists[key].append(value)
        else:
            values[key] = value
    _require_shell(values, complaint or output)
    if values.get("home") == "none":
        raise TargetError(
            "the board's login has no home folder: HOME is not set",
            "Name a whole path: --root FOLDER of `kedge target add`, or `root` in kedge.toml.",
        )
    free = _count(values.get("free_kib", ""))
    place = _json_object(values.get("place", ""))
    keeps_files = values.get("size_kib") != "0"
    return Probe(
        machine=values.get("machine", ""),
        root=values["root"],
        writable=values.get("writable") == "yes" and keeps_files and "blocked" not in values,
        free_bytes=free * 1024 if free is not None else None,
        has_agent=values.get("agent") == "yes",
        pythons=tuple(Python(**fields) for fields in pythons.values()),
        facts=facts_from_json(_json_object(values.get("facts", "")) or _facts_of_sh(values)),
        mount_options=_options(lists["mounted"], values.get("mount", "")),
        refused_python=values.get("refused", ""),
        failed_python=values.get("failed", ""),
        trees=tuple(lists["tree"]),
        keeps_files=keeps_files,
        obstacle=values.get("blocked", ""),
        unsafe_cause=str(place.get("cause", "")),
        unsafe_fix=str(place.get("fix", "")),
        free_files=_whole(place.get("free_files")),
    )


def _require_shell(values: Mapping[str, str], words: str) -> None:
    """Refuse a login that does not run the script as it was sent."""
    if values.get("end") != "yes" or not values.get("root"):
        raise TargetError(
            f"the board has no usable shell; it said: {words.strip()[-300:] or 'nothing'}",
            advice_on(words)
            or "kedge needs a login that may run `sh`: give the user a login shell "
            "(chsh -s /bin/sh), take the forced command off its key, and take out of its startup "
            f"files what reads input or starts another shell. {_INTERACTIVE}",
        )
    if values.get("whole", "yes") != "yes":
        raise TargetError(
            "a startup file of the board's login reads from standard input, and so takes away a "
            "part of what kedge sends",
            f"Look for `read`, `cat` and the like in .bashrc, .zshenv or .cshrc. {_INTERACTIVE}",
        )
    if values.get("command", COMMAND_WORD) != COMMAND_WORD:
        raise TargetError(
            f"a startup file of the board's login starts another program "
            f"({values.get('command') or 'unknown'}) in place of the command of kedge",
            f"Look for `exec` in .bashrc, .profile or .zshenv. {_INTERACTIVE}",
        )


def _python_fields(match: re.Match[str]) -> dict[str, Any]:
    return {
        "version": (int(match["major"]), int(match["minor"])),
        "executable": match["executable"],
        "is_shim": bool(match["shim"]),
        "lacks": tuple((match["lacks"] or "").split(",")) if match["lacks"] else (),
    }


def _facts_of_sh(values: Mapping[str, str]) -> dict[str, Any]:
    """Return the facts of a board without Python: what it is, and why nothing loads there."""
    machine = values.get("machine", "")
    if values.get("bits") == "1" and machine in ("aarch64", "armv8l"):  # ELFCLASS32
        machine = "armv7l"
    libc = values.get("libc", "")
    version = re.search(r"Version ([0-9.]+)", libc)
    if "musl" in libc:
        libc = f"musl {version[1]}" if version else "musl"
    memory = _count(values.get("memory_kib", ""))
    return {
        "machine": machine,
        "kernel": values.get("kernel", ""),
        "kernel_machine": values.get("machine", ""),
        "libc": libc if re.match(r"(glibc|musl)\b", libc) else "",
        "memory_bytes": memory * 1024 if memory is not None else 0,
        "cores": _count(values.get("cores", "")) or 0,
        "model": values.get("model", ""),
        "compatible": values.get("compatible", "").split(),
        "os": values.get("os", ""),
    }


def _options(mount_lines: list[str], place: str) -> tuple[str, ...]:
    """The options of the mount at `place`; the last of several is the one that is seen."""
    options = ""
    for line in mount_lines:
        first, _, mount = line.partition(" ")
        if mount.replace("\\040", " ") == place:  # the kernel writes a space so
            options = first
    return tuple(filter(None, options.split(",")))


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = parse_json(text.encode("utf-8", "replace"))
    except RecordError:
        return {}
    return value if isinstance(value, dict) else {}


def _json_objects(text: str) -> tuple[dict[str, Any], ...]:
    try:
        value = parse_json(text.encode("utf-8", "replace"))
    except RecordError:
        return ()
    entries = value if isinstance(value, list) else []
    return tuple(entry for entry in entries if isinstance(entry, dict))


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _count(text: str) -> int | None:
    return int(text) if _COUNT.match(text) else None


def _dotted(python: Python) -> str:
    return "{}.{}".format(*python.version)
