"""The agent's own code, compiled, in one file beside its archive.

Python compiles what it imports from an archive anew in each process, which takes longer than all
else at the start of an agent. The file is what Python calls a .pyc: Python runs it by its path, and
refuses it in words if another version of Python wrote it. A host that knows the board starts it,
and the archive where that fails.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import re
import sys
import zlib

#: End of the name of such a file, after the digest of the archive and the tag of the Python.
SUFFIX = ".pyc"

_PACKAGE = "device_agent"
_ENTRY = "__main__.py"

#: Name of an archive that a host has uploaded: its digest.
_UPLOADED = re.compile(r"[0-9a-f]{64}\.pyz\Z")

#: Bytes of a .pyc after its magic number: no flags, no time, no size of a source.
_HEADER = bytes(12)
_CHECKSUM_BYTES = 4

#: Name of the constant of the program that holds the modules.
_MODULES = "PACKED_MODULES"

#: Program of the file. All modules are checked once, and unpacked when they are imported.
_PROGRAM = """
import marshal, sys, zlib
from importlib.machinery import ModuleSpec

{modules} = {packed!r}
if zlib.crc32({modules}) != {checksum}:
    sys.exit("the agent's compiled code is damaged")
CODES = marshal.loads({modules})
FOLDER, SLASH, NAME = sys.argv[0].rpartition("/")
ARCHIVE = FOLDER + SLASH + NAME.partition(".")[0] + ".pyz"


class Importer:
    def find_spec(self, name, path=None, target=None):
        if name not in CODES:
            return None
        where, is_package, _ = CODES[name]
        spec = ModuleSpec(name, self, origin=ARCHIVE + "/" + where, is_package=is_package)
        spec.has_location = True
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(marshal.loads(CODES[module.__name__][2]), module.__dict__)


sys.meta_path.insert(0, Importer())
sys.argv[0] = ARCHIVE
exec(marshal.loads(CODES[""][2]))
"""


def keep_compiled_code(archive: str) -> None:
    """Compile the whole agent into the file, unless it is there and whole.

    A disk that does not take it is passed over: it saves time, nothing else.

    Args:
        archive: Path of the archive that runs; one that nobody uploaded has another name, and is
            left alone.
    """
    path = path_of(archive)
    is_uploaded = _UPLOADED.match(os.path.basename(archive)) is not None
    if is_in_use() or not is_uploaded or _is_whole(path):
        return
    new = os.path.join(os.path.dirname(path), ".new-{}".format(os.getpid()))
    try:
        content = _compile(archive)
        checksum = zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big")
        with open(new, "wb") as file:
            file.write(content + checksum)  # Python reads no further than the code
        os.rename(new, path)
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            os.unlink(new)


def program_of(archive: str) -> str:
    """Return the path by which another process of this agent starts soonest.

    Args:
        archive: Path of the archive that runs.
    """
    return path_of(archive) if is_in_use() else archive


def is_in_use() -> bool:
    """Whether this process runs from the file of compiled code."""
    return hasattr(sys.modules["__main__"], _MODULES)


def path_of(archive: str) -> str:
    """Return the path of the file of compiled code for this Python."""
    root, _ = os.path.splitext(archive)
    return "{}.{}{}".format(root, sys.implementation.cache_tag, SUFFIX)


def _compile(archive: str) -> bytes:
    import zipfile  # only for the first start of an agent
    from importlib.util import MAGIC_NUMBER

    codes = {}
    with zipfile.ZipFile(archive) as files:
        for name in files.namelist():
            parts = name[: -len(".py")].split("/")
            is_package = parts[-1] == "__init__"
            module = ".".join(parts[:-1] if is_package else parts)
            where = os.path.join(archive, name)
            code = compile(files.read(name), where, "exec", dont_inherit=True)
            module = "" if name == _ENTRY else module
            codes[module] = (name, is_package, marshal.dumps(code))
    packed = marshal.dumps(codes)
    program = _PROGRAM.format(modules=_MODULES, packed=packed, checksum=zlib.crc32(packed))
    code = compile(program, archive, "exec", dont_inherit=True)
    return MAGIC_NUMBER + _HEADER + marshal.dumps(code)


def _is_whole(path: str) -> bool:
    from importlib.util import MAGIC_NUMBER

    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return False
    content, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    is_own = content.startswith(MAGIC_NUMBER)
    return is_own and zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big") == checksum
