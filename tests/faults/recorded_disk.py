"""A disk that remembers which writes are on it and which are only in the memory of the kernel.

`record_calls` interposes on the calls of `os` that change files below a folder. `SampleDisk`
repeats a prefix of them and writes out what a kill or a power cut at that point leaves behind.
"""

import contextlib
import copy
import os
import random
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

#: Calls that change a file system.
CHANGING = (
    *("open", "write", "fsync", "replace", "rename", "mkdir", "symlink", "link"),
    *("unlink", "rmdir", "chmod", "fchmod", "ftruncate", "truncate", "pwrite"),
)

#: What a crash loses: nothing (the process is killed), all that was not synced, data but no names,
#: names but no data, half of the last write, or any mixture.
LOSSES = ("nothing", "unsynced", "data", "names", "torn", "mixed 1", "mixed 2")


#: Path, kind, mode and content of a file, a folder or a link.
Leaf = tuple[str, str, int, bytes]
Tree = tuple[Leaf, ...]


@dataclass
class Call:
    """A call that changed something."""

    name: str
    path: str
    """Path below the recorded folder."""
    data: bytes = b""
    target: str = ""
    """Second path of a rename, below the folder; target of a symbolic link."""
    offset: int = -1


@dataclass
class Node:
    """A file, a folder or a symbolic link."""

    kind: str
    data: bytes = b""
    synced: bytes = b""
    mode: int = 0o600
    entries: "dict[str, Node]" = field(default_factory=dict)
    pending: "list[tuple[str, Node | None]]" = field(default_factory=list)
    """Changes of the names of a folder that were not synced: name, and what it names then."""
    synced_entries: "dict[str, Node]" = field(default_factory=dict)


@contextlib.contextmanager
def record_calls(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[list[Call]]:
    """Yield the list of calls that change something below a folder while the block runs."""
    recorder = _Recorder(folder)
    with patch.context() as own:
        for name in CHANGING:
            own.setattr(os, name, recorder.watch(name, getattr(os, name)))
        yield recorder.calls


class _Recorder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.calls: list[Call] = []

    def watch(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        """Return what does the same as a call, and writes it down."""

        def step(path: Any, *rest: Any, **named: Any) -> Any:
            where = self._below(rest[0] if name == "symlink" else path, named.get("dir_fd"))
            is_new = name == "open" and not (self._folder / where).exists()
            result = act(path, *rest, **named)
            if where:
                self._write_down(name, where, (path, *rest), result, is_new)
            return result

        return step

    def _write_down(self, name: str, where: str, given: Any, result: Any, is_new: bool) -> None:
        if name == "open":
            if given[1] & os.O_CREAT and is_new:
                self.calls.append(Call("create", where))
            elif given[1] & os.O_TRUNC:
                self.calls.append(Call("ftruncate", where, offset=0))
        elif name == "write":
            self.calls.append(Call(name, where, data=bytes(given[1][:result])))
        elif name in ("replace", "rename"):
            self.calls.append(Call("rename", where, target=self._below(given[1], None)))
        elif name == "symlink":
            self.calls.append(Call(name, where, target=given[0]))
        elif name in ("ftruncate", "chmod", "fchmod"):
            self.calls.append(Call(name, where, offset=given[1]))
        else:
            assert name in ("fsync", "mkdir", "unlink", "rmdir"), name
            self.calls.append(Call(name, where))

    def _below(self, path: Any, dir_fd: int | None) -> str:
        """Path below the folder, `.` for the folder itself; empty for a path outside of it."""
        if isinstance(path, int):
            full = Path(f"/proc/self/fd/{path}").readlink()
        elif dir_fd is not None:
            full = Path(f"/proc/self/fd/{dir_fd}").readlink() / path
        else:
            full = Path.cwd() / path
        return str(full.relative_to(self._folder)) if full.is_relative_to(self._folder) else ""


class SampleDisk:
    """The state of a folder after some calls, on the disk and in the memory of the kernel."""

    def __init__(self, folder: Path) -> None:
        self._root = _read(folder)

    def after(self, calls: list[Call]) -> "SampleDisk":
        """A disk on which some calls were done."""
        other = copy.deepcopy(self)
        for call in calls:
            other._apply(call)
        return other

    def tree(self, loss: str) -> Tree:
        """Return what a crash leaves: kind, mode and content by path."""
        return tuple(_leave(self._root, "", loss, random.Random(loss)))

    def _apply(self, call: Call) -> None:
        if call.name == "fsync":
            node = self._find(call.path)
            node.synced = node.data
            node.synced_entries, node.pending = dict(node.entries), []
            return
        parent, name = self._parent(call.path)
        if call.name in ("create", "mkdir", "symlink"):
            kind = {"create": "file", "mkdir": "folder", "symlink": "link"}[call.name]
            node = Node(kind, data=call.target.encode(), synced=call.target.encode())
            _name(parent, name, node)
        elif call.name in ("unlink", "rmdir"):
            _name(parent, name, None)
        elif call.name == "rename":
            other, new = self._parent(call.target)
            node = parent.entries[name]
            _name(other, new, node)
            _name(parent, name, None)
        elif call.name == "write":
            parent.entries[name].data += call.data
        elif call.name == "ftruncate":
            parent.entries[name].data = parent.entries[name].data[: call.offset]
        elif call.name in ("chmod", "fchmod"):
            parent.entries[name].mode = call.offset
        else:
            raise AssertionError(call.name)

    def _find(self, path: str) -> Node:
        node = self._root
        for part in Path(path).parts:
            node = node.entries[part]
        return node

    def _parent(self, path: str) -> tuple[Node, str]:
        folder, _, name = path.rpartition("/")
        return self._find(folder), name


def _name(folder: Node, name: str, node: Node | None) -> None:
    folder.pending.append((name, node))
    if node is None:
        del folder.entries[name]
    else:
        folder.entries[name] = node


def _read(path: Path) -> Node:
    mode = stat.S_IMODE(path.lstat().st_mode)
    if path.is_symlink():
        target = str(path.readlink()).encode()
        return Node("link", target, target)
    if path.is_dir():
        entries = {entry.name: _read(entry) for entry in sorted(path.iterdir())}
        return Node("folder", mode=mode, entries=entries, synced_entries=dict(entries))
    data = path.read_bytes()
    return Node("file", data, data, mode)


def _leave(node: Node, path: str, loss: str, chance: random.Random) -> Iterator[Leaf]:
    if node.kind == "folder":
        yield path, node.kind, 0o700, b""
        for name, entry in sorted(_entries(node, loss, chance).items()):
            yield from _leave(entry, f"{path}/{name}", loss, chance)
    elif node.kind == "link":
        yield path, node.kind, 0, node.data
    else:
        yield path, node.kind, node.mode, _data(node, loss, chance)


def write_tree(tree: Tree, folder: Path) -> None:
    """Write out what a crash left."""
    for path, kind, mode, data in tree:
        place = folder / path.lstrip("/")
        if kind == "folder":
            place.mkdir(mode)
        elif kind == "link":
            place.symlink_to(data.decode())
        else:
            place.write_bytes(data)
            place.chmod(mode)


def _entries(node: Node, loss: str, chance: random.Random) -> dict[str, Node]:
    if loss in ("nothing", "data", "torn"):
        return node.entries
    entries = dict(node.synced_entries)
    count = 0 if loss in ("unsynced", "names") else chance.randint(0, len(node.pending))
    for name, entry in node.pending[:count]:  # a file system keeps the changes of names in order
        if entry is None:
            entries.pop(name, None)
        else:
            entries[name] = entry
    return entries


def _data(node: Node, loss: str, chance: random.Random) -> bytes:
    data, synced = node.data, node.synced
    if loss in ("nothing", "names") or data == synced:
        return data
    if loss in ("unsynced", "data"):
        return synced
    if loss == "torn":
        kept = len(synced) + (len(data) - len(synced)) // 2
        return data[:kept] if data.startswith(synced) else synced
    least = len(synced) if data.startswith(synced) else 0  # what was synced stays
    return chance.choice([data, synced, data[: chance.randint(least, len(data))]])
