"""The script that reads a board without changing it: one `sh`, which asks the Pythons it finds.

It goes over stdin, for some servers take no long command line, and uses no here-document, for which
some shells write a temporary file. The Pythons get the agent's own modules as text, so that the
facts of a board are read by one code, whether the agent is there or not.
"""

from __future__ import annotations

import ast
import base64
import json
import shlex
import threading
import zlib
from collections.abc import Collection
from functools import cache
from importlib.util import find_spec
from pathlib import Path

#: Modules that the Pythons run: each reads its own runtimes, and the facts of the board.
_RUNTIMES_MODULE = "device_agent.board.board_runtimes"
_FACTS_MODULE = "device_agent.board.facts"

#: Module that says whether others may change the root folder.
_OWNERSHIP_MODULE = "device_agent.store.ownership"

#: The standard library's parts that the agent cannot do without; small images leave some out.
_NEEDED_MODULES = ("_ctypes", "fcntl", "hashlib", "json", "select", "zipfile", "zlib")

#: Longest wait for one Python, in seconds, on a board that has `timeout`: a shim may wait for ever,
#: and the next Python may answer.
_PYTHON_LIMIT_S = 30

_NEWEST_MINOR = 15
_OLDEST_MINOR = 7

#: Runs the script that comes over stdin; it is read whole first, so nothing that it starts takes
#: from it.
#: The script says whether it was run by this command line, whose word it then knows: a startup file
#: of the login that starts another shell lets that shell read the script.
COMMAND_WORD = "kedge-command"
COMMAND = f"sh -c 'eval \"$(cat)\"' {COMMAND_WORD}"

#: Any Python, 2 also, must be able to read this. `python3` on the PATH may be a shim (pyenv, asdf)
#: or belong to a virtual environment: the script reports the executable behind it.
#: -B of the call: a Python that may write would put bytecode beside its standard library.
_ASK_PYTHON = """
import os, sys
command, archive, sha256, has_facts, enough = sys.argv[1:6]
def lacks(name):
    from importlib.util import find_spec
    return find_spec(name) is None
real = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
words = ["python=%d.%d" % sys.version_info[:2]]
if os.path.realpath(command) != real:
    words.append("shim")
old = sys.version_info < (3, 7)
missing = [] if old else [name for name in {needed!r} if lacks(name)]
if missing:
    words.append("lacks:" + ",".join(missing))
sys.stdout.write("\\n" + " ".join(words + [real]) + "\\n")  # a shim may have printed something
sys.stdout.flush()
if old or missing:
    sys.exit(1)
import base64, json, types, zlib
if os.access(archive, os.R_OK):
    import hashlib
    with open(archive, "rb") as file:
        if hashlib.sha256(file.read()).hexdigest() == sha256:
            print("agent=yes")
for name, source in json.loads(zlib.decompress(base64.b64decode("{sources}")).decode()):
    sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), sys.modules[name].__dict__)
facts = sys.modules["{facts}"]
build = facts.python_build()
print("installed=" + json.dumps(facts.installed_packages()))
print("build=" + json.dumps(build))
print("runtimes=" + json.dumps(sys.modules["{runtimes}"].board_runtimes()))
if not has_facts:
    root = os.path.dirname(os.path.dirname(archive))
    print("place=" + json.dumps(sys.modules["{ownership}"].describe_root(root)))
    print("facts=" + json.dumps(facts.read_facts()))
is_usual = build == {{"implementation": "cpython", "abi_flags": ""}} and sys.maxsize > 2**32
sys.exit(0 if is_usual and sys.version_info[1] in json.loads(enough) else 1)
"""

#: printf, as echo of some shells reads the backslashes of a path as signs.
#: Its first line is lost where a startup file of the login reads from standard input.
_SCRIPT = """whole=yes
PATH="$PATH:/usr/local/bin:/usr/bin:/bin"
root={root}
say() {{ printf '%s\\n' "$1"; }}
say ""
say "command=$0"
say "whole=$whole"
case "$root" in "~"/*) [ -n "$HOME" ] || say "home=none"; root="$HOME/${{root#??}}" ;; esac
say "root=$root"
say "machine=$(uname -m)"
near="$root"
while [ ! -d "${{near:-/}}" ]; do
  [ -e "$near" ] && say "blocked=$near"
  case "$near" in */*) near=${{near%/*}} ;; *) near=. ;; esac
done
near=${{near:-/}}
[ -w "$near" ] && say "writable=yes"
df -Pk "$near" 2>/dev/null |
  awk 'NR==2 {{ print "size_kib=" $2; print "free_kib=" $4; match($0, / [0-9]*[%-] +\\//)
    print "mount=" substr($0, RSTART + RLENGTH - 1) }}'
while read -r _ place _ options _; do say "mounted=$options $place"; done 2>/dev/null </proc/mounts
for tree in "$root"/store/runtimes/*; do [ -d "$tree" ] && say "tree=${{tree##*/}}"; done
ask={ask}
checked_paths=" "
has_facts=
limit=
timeout 9 true 2>/dev/null && limit="timeout {limit_s}"
for name in {pythons}; do
  program=$(command -v "$name" 2>/dev/null) || continue
  real=$(readlink -f "$program" 2>/dev/null) || real="$program"
  case "$checked_paths" in *" $real "*) continue ;; esac
  checked_paths="$checked_paths$real "
  reply=$($limit "$program" -I -B -c "$ask" "$program" "$root/agent/{agent}.pyz" {agent} \\
    "$has_facts" {enough} 2>/dev/null </dev/null)
  enough=$?
  [ "$enough" = 126 ] && say "refused=$program"
  case "$reply" in *python=*) say "$reply" ;; *) say "failed=$enough $program" ;; esac
  case "$reply" in *facts=*) has_facts=yes ;; esac
  [ "$enough" = 0 ] && break
done
if [ -z "$has_facts" ]; then
  say "kernel=$(uname -r)"
  say "bits=$(od -An -tu1 -j4 -N1 /proc/self/exe 2>/dev/null | tr -d ' ')"
  say "libc=$(getconf GNU_LIBC_VERSION 2>/dev/null || ldd --version 2>&1 | tr '\\n' ' ')"
  say "memory_kib=$(sed -n 's/^MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo 2>/dev/null)"
  say "cores=$(grep -c '^processor' /proc/cpuinfo 2>/dev/null)"
  say "model=$(tr -d '\\000' 2>/dev/null </proc/device-tree/model)"
  say "compatible=$(tr '\\000' ' ' 2>/dev/null </proc/device-tree/compatible)"
  say "os=$(sed -n 's/^PRETTY_NAME="*\\([^"]*\\).*/\\1/p' /etc/os-release 2>/dev/null)"
fi 2>/dev/null
say "end=yes"
"""


_packing = threading.Lock()


def probe_script(
    root: str, agent_sha256: str, enough: Collection[int], python: str | None
) -> bytes:
    """Write the script for one board.

    Args:
        root: The folder that belongs to kedge there; may start with `~/`.
        agent_sha256: Digest of the agent that would be started.
        enough: Minor versions of Python 3 that no other can beat: the script ends at a 64-bit
            Python of one of them. Empty to ask all.
        python: Path of the only Python to ask; without it, the usual names are tried.
    """
    minors = range(_NEWEST_MINOR, _OLDEST_MINOR - 1, -1)
    names = ["python3", *(f"python3.{minor}" for minor in minors)]
    script = _SCRIPT.format(
        root=shlex.quote(root),
        agent=agent_sha256,
        pythons=shlex.quote(python) if python else " ".join(names),
        ask=shlex.quote(
            _ASK_PYTHON.format(
                needed=_NEEDED_MODULES,
                sources=_sources(),
                facts=_FACTS_MODULE,
                ownership=_OWNERSHIP_MODULE,
                runtimes=_RUNTIMES_MODULE,
            )
        ),
        enough=shlex.quote(repr(sorted(enough))),
        limit_s=_PYTHON_LIMIT_S,
    )
    return script.encode()


def _sources() -> str:
    """The agent's modules, packed: each connection sends them."""
    with _packing:  # several threads that parse at once make Python 3.11 fail
        return _pack_sources()


@cache
def _pack_sources() -> str:
    sources: dict[str, str] = {}
    _collect(_RUNTIMES_MODULE, sources)
    _collect(_FACTS_MODULE, sources)
    _collect(_OWNERSHIP_MODULE, sources)
    data = zlib.compress(json.dumps(list(sources.items())).encode(), 9)
    return base64.b64encode(data).decode()


def _collect(module: str, sources: dict[str, str]) -> None:
    """Add a module of the agent, after those that it imports."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text("utf-8")
    for node in ast.walk(ast.parse(source)):
        name = node.module if isinstance(node, ast.ImportFrom) else None
        if name is not None and name.startswith("device_agent.") and name not in sources:
            _collect(name, sources)
    sources[module] = source
