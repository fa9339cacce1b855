"""The agent's own code, compiled, in one file beside its archive.

Python compiles what it imports from an archive anew in each process, which takes longer than all
else at the start of an agent. The file belongs to one archive and one Python; a damaged or foreign
one is passed over, and written again.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import sys
import zlib
from importlib.machinery import ModuleSpec
from typing import Any, Dict, Optional, Tuple

#: End of the name of such a file, after the digest of the archive and the tag of the Python.
SUFFIX = ".code"

_PACKAGE = "device_agent"
_CHECKSUM_BYTES = 4

#: Whether a module is a package, and its code, by name.
_Codes = Dict[str, Tuple[bool, bytes]]


def use_compiled_code(archive: str) -> bool:
    """Import the agent's modules from the file of compiled code from now on.

    Args:
        archive: Path of the archive that runs.

    Returns:
        Whether there is such a file, and it is whole.
    """
    try:
        with open(path_of(archive), "rb") as file:
            content = file.read()
        checksum, packed = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
        if zlib.crc32(packed).to_bytes(_CHECKSUM_BYTES, "big") != checksum:
            return False
        version, codes = marshal.loads(packed)
    except (OSError, ValueError, EOFError, TypeError):
        return False
    if version != sys.version:
        return False
    sys.meta_path.insert(0, _Importer(archive, codes))
    return True


def write_compiled_code(archive: str) -> None:
    """Compile the whole agent into the file; a disk that does not take it is passed over.

    Args:
        archive: Path of the archive that runs.
    """
    import zipfile

    codes: _Codes = {}
    path = path_of(archive)
    new = os.path.join(os.path.dirname(path), ".new-{}".format(os.getpid()))
    try:
        with zipfile.ZipFile(archive) as files:
            for name in files.namelist():
                parts = name[: -len(".py")].split("/")
                if parts[0] == _PACKAGE:
                    is_package = parts[-1] == "__init__"
                    module = ".".join(parts[:-1] if is_package else parts)
                    where = os.path.join(archive, name)
                    code = compile(files.read(name), where, "exec", dont_inherit=True)
                    codes[module] = (is_package, marshal.dumps(code))
        packed = marshal.dumps((sys.version, codes))
        with open(new, "wb") as file:
            file.write(zlib.crc32(packed).to_bytes(_CHECKSUM_BYTES, "big") + packed)
        os.rename(new, path)
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            os.unlink(new)


def is_in_use() -> bool:
    """Whether this process imports the agent's modules from the file of compiled code."""
    return any(isinstance(finder, _Importer) for finder in sys.meta_path)


def path_of(archive: str) -> str:
    """Return the path of the file of compiled code for this Python."""
    root, _ = os.path.splitext(archive)
    return "{}.{}{}".format(root, sys.implementation.cache_tag, SUFFIX)


class _Importer:
    """Finder and loader of the agent's modules."""

    def __init__(self, archive: str, codes: _Codes) -> None:
        self._archive = archive
        self._codes = codes

    def find_spec(self, name: str, _: Any = None, __: Any = None) -> Optional[ModuleSpec]:
        """Return the spec of one of the agent's modules; `None` for any other module."""
        if name not in self._codes:
            return None
        where = os.path.join(self._archive, self._path(name))
        spec = ModuleSpec(name, self, origin=where, is_package=self._codes[name][0])  # type: ignore[arg-type]
        spec.has_location = True
        return spec

    def create_module(self, _: ModuleSpec) -> None:
        """Leave it to Python to make the module."""

    def exec_module(self, module: Any) -> None:
        """Run the code of a module."""
        exec(marshal.loads(self._codes[module.__name__][1]), module.__dict__)

    def get_source(self, name: str) -> str:
        """Return the source of a module, for tracebacks."""
        import zipfile

        with zipfile.ZipFile(self._archive) as files:
            return files.read(self._path(name)).decode()

    def _path(self, name: str) -> str:
        return name.replace(".", "/") + ("/__init__.py" if self._codes[name][0] else ".py")
