"""What a board is before anything is sent to it: read by one shell script, without changing it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from targets.errors import TargetError
from targets.transport import Transport

PROBE_TIMEOUT_S = 30.0

#: The agent's floor; ARCHITECTURE.md says why.
OLDEST_PYTHON = (3, 7)
_NEWEST_MINOR = 15

#: `python3` on the PATH may be a shim (pyenv, asdf) or belong to a virtual environment: ask it for
#: the executable behind it, once, and start that one from then on.
#: The one that is new enough also tells whether the agent that lies there is the right one, whole.
_ASK_PYTHON = """
import sys, os
real = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
print("python=%d.%d %s" % (sys.version_info[0], sys.version_info[1], real))
if sys.version_info < (3, 7):
    sys.exit(1)
try:
    import hashlib
    with open(sys.argv[1], "rb") as file:
        if hashlib.sha256(file.read()).hexdigest() == sys.argv[2]:
            print("agent=yes")
except OSError:
    pass
"""

_SCRIPT = """
PATH="$PATH:/usr/local/bin:/usr/bin:/bin"
root={root}
case "$root" in "~"/*) root="$HOME/${{root#??}}" ;; esac
echo
echo "root=$root"
echo "machine=$(uname -m)"
near="$root"
while [ ! -d "$near" ]; do near=$(dirname "$near"); done
[ -w "$near" ] && echo "writable=yes"
echo "free_kib=$(df -Pk "$near" 2>/dev/null | awk 'NR==2 {{print $4}}')"
for name in {pythons}; do
  found=$(command -v "$name" 2>/dev/null) || continue
  "$found" -I -c {ask} "$root/agent/{agent}.pyz" {agent} 2>/dev/null </dev/null && break
done
echo "end=yes"
"""

_PYTHON = re.compile(r"python=(?P<major>[0-9]{1,3})\.(?P<minor>[0-9]{1,3}) (?P<executable>/.*)\Z")
_COUNT = re.compile(r"[0-9]{1,18}\Z")


class NoPythonError(TargetError):
    """The board has no Python that can run the agent."""


@dataclass(frozen=True)
class Python:
    """An interpreter on the board."""

    version: tuple[int, int]
    executable: str
    """Its real path, never a shim."""


@dataclass(frozen=True)
class Probe:
    """What the script saw."""

    machine: str
    """Architecture of the kernel; the agent tells that of the userland."""
    root: str
    """Absolute path of the folder that belongs to kedge."""
    writable: bool
    free_bytes: int | None
    has_agent: bool
    pythons: tuple[Python, ...]
    """Those that were asked, each once; the asking ends at the first that is new enough."""

    @property
    def python(self) -> Python:
        """The interpreter that will run the agent.

        Raises:
            NoPythonError: There is none that is new enough.
        """
        for python in self.pythons:
            if python.version >= OLDEST_PYTHON:
                return python
        seen = ", ".join("{}.{}".format(*python.version) for python in self.pythons) or "none"
        raise NoPythonError(
            f"the board needs Python 3.7 or newer to run the agent; found: {seen}",
            "Install one on the board, such as: sudo apt-get install python3",
        )


def probe(transport: Transport, root: str, agent_sha256: str) -> Probe:
    """Look at a board.

    Args:
        transport: The way to it.
        root: The folder that belongs to kedge there; may start with `~/`.
        agent_sha256: Digest of the agent that would be started.

    Raises:
        TargetError: What answers there is no POSIX shell.
    """
    names = ["python3"] + [f"python3.{minor}" for minor in range(_NEWEST_MINOR, 6, -1)]
    script = _SCRIPT.format(
        root=shlex.quote(root),
        agent=agent_sha256,
        pythons=" ".join(names),
        ask=shlex.quote(_ASK_PYTHON),
    )
    done = transport.run("sh -c " + shlex.quote(script), b"", PROBE_TIMEOUT_S)
    return read_probe(
        done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    )


def read_probe(output: str, complaint: str = "") -> Probe:
    """Read what the script printed; lines of a chatty login shell are passed over.

    Raises:
        TargetError: The script did not run to its end.
    """
    facts: dict[str, str] = {}
    pythons: dict[str, Python] = {}
    for line in output.splitlines():
        key, _, value = line.partition("=")
        if found := _PYTHON.match(line):
            executable = found["executable"]
            version = (int(found["major"]), int(found["minor"]))
            pythons.setdefault(executable, Python(version, executable))
        else:
            facts[key] = value
    if facts.get("end") != "yes" or not facts.get("root"):
        said = (complaint or output).strip()[-300:] or "nothing"
        raise TargetError(
            f"the board has no usable shell; it said: {said}",
            "kedge needs a login that may run `sh`.",
        )
    free = facts.get("free_kib", "")
    return Probe(
        machine=facts.get("machine", ""),
        root=facts["root"],
        writable=facts.get("writable") == "yes",
        free_bytes=int(free) * 1024 if _COUNT.match(free) else None,
        has_agent=facts.get("agent") == "yes",
        pythons=tuple(pythons.values()),
    )
