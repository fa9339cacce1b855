"""The agent as one file: a zipapp of `device_agent`, the same bytes for the same sources."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

#: The earliest date a zip file can hold: the archive must not depend on when it was made.
_EPOCH = (1980, 1, 1, 0, 0, 0)

#: A job is started for each process of a measurement: it loads nothing of what answers the host.
_ENTRY = """\
import os, sys

if os.path.islink(sys.argv[0]):
    sys.argv[0] = sys.path[0] = os.path.realpath(sys.argv[0])
if sys.argv[1:] == ["job"]:
    from device_agent.job import main

    sys.exit(main())
if sys.argv[1:2] == ["watch"]:
    from device_agent.watch import main

    sys.exit(main(sys.argv[1:]))
from device_agent.__main__ import main

sys.exit(main(sys.argv[1:]))
"""


@dataclass(frozen=True)
class AgentArchive:
    """The agent's bytes and their digest."""

    content: bytes
    sha256: str


@cache
def agent_archive() -> AgentArchive:
    """Pack the installed `device_agent`."""
    spec = find_spec("device_agent")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    files = {"__main__.py": _ENTRY.encode()}
    for path in sorted(package.rglob("*.py")):
        files[str(Path("device_agent") / path.relative_to(package))] = path.read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    content = buffer.getvalue()
    return AgentArchive(content, hashlib.sha256(content).hexdigest())
