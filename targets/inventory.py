"""Who there is: the targets of a project, kept in `kedge.toml`.

The file is the user's: it is edited in place, comments and order survive, and no secret is ever
written to it (an identity is the path of a key, never the key).
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable, Table

from targets.address import Address, parse_address
from targets.entry_checks import (
    DEFAULT_ROOT,
    InventoryError,
    check_jump,
    check_jump_host_key,
    check_root,
    check_ssh,
    read_truth,
    require_table,
    require_text,
)
from targets.execution import KEYS, Execution, read_execution
from targets.file_edit import edit_alone, replace_file
from targets.inventory_file import read_document
from targets.project_trust import refuse_project_programs

FILE_NAME = "kedge.toml"
LOCAL = "local"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
_TEXTS = ("address", "host_key", "host_key_type", "identity", "root", "jump", "board")
_KEYS = {*_TEXTS, *KEYS, "hooks", "labels", "jump_host_keys"}


@dataclass(frozen=True)
class Target:
    """A named device: how to reach it and where kedge may keep its files."""

    name: str
    address: str
    """`local`, or `[USER@]HOST[:PORT]`; HOST may be one of ~/.ssh/config."""
    host_key: str | None = None
    """Fingerprint `SHA256:…`, as `ssh-keygen -l` prints it; every SSH target has one."""
    host_key_type: str | None = None
    identity: Path | None = None
    """Path of the private key for the login; `None` for the SSH agent and the usual keys."""
    root: str = DEFAULT_ROOT
    """The folder on the board that belongs to kedge."""
    labels: Mapping[str, str] = field(default_factory=dict)
    jump: str | None = None
    """Jump hosts in the form that `parse_jump` reads; `None` leaves them to ~/.ssh/config."""
    jump_host_keys: Mapping[str, str] = field(default_factory=dict)
    """`TYPE SHA256:…` of each jump host by HOST or [HOST]:PORT; others are in known_hosts."""
    board: str | None = None
    """Kind of board: a name in `targets/boards`; `None` for an unknown board."""
    execution: Execution = Execution()
    hooks: bool = False
    """Whether commands that a release names, to reload and check its application, may run there."""

    @property
    def is_local(self) -> bool:
        """Whether the target is this computer itself."""
        return self.address == LOCAL

    @property
    def ssh_address(self) -> Address:
        """The parts of an SSH target's address."""
        return parse_address(self.address)


def find_file(start: Path) -> Path | None:
    """Seek `kedge.toml` in `start` and in every folder above it."""
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


class Inventory:
    """The targets of one `kedge.toml`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._document = read_document(path)

    @property
    def targets(self) -> dict[str, Target]:
        """All targets by name, in the file's order.

        Raises:
            InventoryError: An entry is not right; the message names file and field.
        """
        return self._targets_in(self._document)

    def get(self, name: str) -> Target:
        """Return one target.

        Raises:
            InventoryError: No target has this name; the message lists those that exist.
        """
        targets = self.targets
        if name not in targets:
            names = ", ".join(targets) or "none"
            nearest = difflib.get_close_matches(name, targets, n=1)
            meant = f"Did you mean {nearest[0]}? " if nearest else ""
            raise InventoryError(
                f"no target is called {name!r} in {self.path}; there are: {names}",
                f"{meant}To add it: kedge target add {name} USER@HOST",
            )
        return targets[name]

    def only(self) -> Target:
        """Return the target of a project that has a single one.

        Raises:
            InventoryError: There is none, or there are several; the message lists them.
        """
        targets = self.targets
        if len(targets) != 1:
            names = ", ".join(targets) or "none"
            raise InventoryError(
                f"no target is named, and {self.path} does not have exactly one: {names}",
                "Name a target: --on NAME" if targets else "Add one: kedge target add NAME HOST",
            )
        return next(iter(targets.values()))

    def names_in_same_folder(self, target: Target) -> list[str]:
        """Names of the other targets that have their files in the same folder of the same board."""
        place = (target.address, target.root)
        return [
            other.name
            for other in self.targets.values()
            if other.name != target.name and (other.address, other.root) == place
        ]

    def require_addable(self, target: Target) -> None:
        """Refuse what cannot be added, before anybody connects to it.

        Raises:
            InventoryError: The name is taken, or is none, or the root is no whole path.
        """
        name = target.name
        if not _NAME.match(name):
            raise InventoryError(
                f"{name!r} is not a name for a target",
                "Use up to 63 letters, digits, dots, dashes and underscores, the first no sign.",
            )
        if name in self.targets:
            raise InventoryError(
                f"a target called {name!r} is already in {self.path}",
                f"Choose another name, or: kedge target remove {name}",
            )
        check_root(f"{self.path}: [targets.{name}]", target.root)

    def select(self, selection: str | None) -> list[Target]:
        """Return the targets that a text names: `a,b,c`, or `room=lab` for all with that label.

        Args:
            selection: Names and labels, with commas between them; `None` for the only target.

        Raises:
            InventoryError: A name is unknown, or no target has the label.
        """
        if selection is None:
            return [self.only()]
        targets: dict[str, Target] = {}
        for part in filter(None, (part.strip() for part in selection.split(","))):
            key, equals, value = part.partition("=")
            matches = (
                [target for target in self.targets.values() if target.labels.get(key) == value]
                if equals
                else [self.get(part)]
            )
            if not matches:
                raise InventoryError(
                    f"no target in {self.path} has the label {part}",
                    "See the labels: kedge target list",
                )
            targets.update({target.name: target for target in matches})
        if not targets:
            raise InventoryError(f"{selection!r} names no target", "Write NAME, A,B or KEY=VALUE.")
        return list(targets.values())

    def add(self, target: Target) -> None:
        """Write a new target to the file.

        Raises:
            InventoryError: The name is taken or no name, or the file cannot be written.
        """
        with self._edit_alone():
            self.require_addable(target)
            entry = _entry_of(target)
            new_targets = {**self.targets, target.name: self._target(target.name, entry)}
            if "targets" not in self._document:
                self._document["targets"] = tomlkit.table(is_super_table=True)
            table = self._document["targets"]
            # `targets = {…}` is one line, in which tables of several lines have no place.
            if isinstance(table, InlineTable):
                inline = tomlkit.inline_table()
                inline.update(entry)
                table[target.name] = inline
            else:
                table[target.name] = entry
            self._write(new_targets)

    def remove(self, name: str) -> None:
        """Take a target out of the file.

        Raises:
            InventoryError: There is none of this name, or the file cannot be written.
        """
        with self._edit_alone():
            self.get(name)
            new_targets = {other: target for other, target in self.targets.items() if other != name}
            del self._document["targets"][name]
            self._write(new_targets)

    def rename(self, name: str, new_name: str) -> None:
        """Give a target another name; what else its entry says stays, comments included.

        Raises:
            InventoryError: There is none of this name, the new one is taken or no name, or the file
                cannot be written.
        """
        with self._edit_alone():
            self.require_addable(replace(self.get(name), name=new_name))
            new_targets = {
                (new_name if other == name else other): (
                    replace(target, name=new_name) if other == name else target
                )
                for other, target in self.targets.items()
            }
            table = self._document["targets"]
            entries = {other: table[other] for other in list(table)}
            for other in entries:
                del table[other]
            for other, entry in entries.items():
                table[new_name if other == name else other] = entry
            self._write(new_targets)

    def change(
        self, name: str, values: Mapping[str, str | bool | Mapping[str, str] | None]
    ) -> Target:
        """Write fields of a target's entry; return the target as it is then.

        Args:
            name: Name of the target.
            values: Values by key of the entry; `None` removes the key.

        Raises:
            InventoryError: There is none of this name, a value is not right, or the file cannot be
                written.
        """
        with self._edit_alone():
            self.get(name)
            entry = self._document["targets"][name]
            for key, value in values.items():
                entry.pop(key, None)
                if isinstance(value, Mapping):
                    table = tomlkit.inline_table()
                    table.update(value)
                    value = table if value else None
                if value is not None:
                    entry[key] = value
            changed = self._target(name, entry)
            self._write({**self.targets, name: changed})
        return changed

    def set_execution(self, name: str, execution: Execution) -> None:
        """Write how models are executed on a target.

        Raises:
            InventoryError: There is none of this name, or the file cannot be written.
        """
        with self._edit_alone():
            new_targets = {**self.targets, name: replace(self.get(name), execution=execution)}
            entry = self._document["targets"][name]
            for key, value in execution.as_entry().items():
                entry.pop(key, None)
                if value is not None:
                    entry[key] = value
            self._write(new_targets)

    def _targets_in(self, document: tomlkit.TOMLDocument) -> dict[str, Target]:
        table = document.get("targets", {})
        if not isinstance(table, Mapping):
            raise InventoryError(
                f"{self.path}: [targets] must be a table, found {table!r}",
                "Write each target as [targets.NAME].",
            )
        return {str(name): self._target(str(name), entry) for name, entry in table.items()}

    def _target(self, name: str, entry: object) -> Target:
        where = f"{self.path}: [targets.{name}]"
        if not isinstance(entry, Mapping):
            raise InventoryError(f"{where} must be a table")
        unknown = sorted(set(entry) - _KEYS)
        if unknown:
            names = ", ".join(sorted(_KEYS))
            raise InventoryError(f"{where} has an unknown key {unknown[0]!r}", f"Known: {names}.")
        texts = {key: require_text(where, entry, key) for key in _TEXTS}
        address = texts["address"]
        if address is None:
            raise InventoryError(f"{where} lacks `address`", 'Write address = "USER@HOST".')
        if address != LOCAL:
            check_ssh(where, address, texts["host_key"], texts["host_key_type"])
        root = texts["root"] or DEFAULT_ROOT
        check_root(where, root)
        check_jump(where, texts["jump"])
        host_keys = require_table(where, entry, "jump_host_keys")
        for host, text in host_keys.items():
            check_jump_host_key(where, host, text)
        execution = read_execution(where, entry)
        if address == LOCAL:
            refuse_project_programs(where, root, execution, self.path)
        return Target(
            name=name,
            address=address,
            host_key=texts["host_key"],
            host_key_type=texts["host_key_type"],
            identity=self._identity(texts["identity"]),
            root=root,
            labels=require_table(where, entry, "labels"),
            board=texts["board"],
            jump=texts["jump"],
            jump_host_keys=host_keys,
            execution=execution,
            hooks=read_truth(where, entry, "hooks"),
        )

    def _identity(self, text: str | None) -> Path | None:
        """Read the path of a key; a relative one starts at the folder of the file."""
        if not text:
            return None
        return Path(text) if text.startswith("~") else self.path.parent / text

    @contextlib.contextmanager
    def _edit_alone(self) -> Iterator[None]:
        """Read the file again, and let nobody else edit it until the new one is written."""
        try:
            with edit_alone(self.path.resolve()):
                self._document = read_document(self.path)
                yield
        except OSError as error:
            raise InventoryError(
                f"cannot write {self.path}: {error.strerror or error}",
                "Make its folder writable for you, or work in another one.",
            ) from error

    def _write(self, new_targets: Mapping[str, Target]) -> None:
        replace_file(self.path.resolve(), self._new_text(new_targets))  # a link stays one

    def _new_text(self, new_targets: Mapping[str, Target]) -> bytes:
        """Return the new text; read it first, as TOML can be written so that an edit damages it."""
        text = tomlkit.dumps(self._document)
        try:
            new = tomlkit.parse(text)
            others = _others(read_document(self.path))
            if self._targets_in(new) == new_targets and _others(new) == others:
                return text.encode()
        except (TOMLKitError, InventoryError):
            pass
        raise InventoryError(
            f"{self.path} is written in a way that kedge cannot edit",
            "Write each target as a table of its own, under a line [targets.NAME].",
        )


def _entry_of(target: Target) -> Table:
    entry = tomlkit.table()
    entry["address"] = target.address
    for key in ("host_key", "host_key_type", "identity", "jump", "board"):
        if getattr(target, key) is not None:
            entry[key] = str(getattr(target, key))
    if target.root != DEFAULT_ROOT:
        entry["root"] = target.root
    for key in ("jump_host_keys", "labels"):
        if getattr(target, key):
            entry[key] = tomlkit.inline_table()
            entry[key].update(getattr(target, key))
    return entry


def _others(document: tomlkit.TOMLDocument) -> str:
    """Return all of the file but the targets, in a form that can be compared."""
    return repr({key: value for key, value in document.unwrap().items() if key != "targets"})
