"""Who there is: the targets of a project, kept in `kedge.toml`.

The file is the user's: it is edited in place, comments and order survive, and no secret is ever
written to it (an identity is the path of a key, never the key).
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Table

from targets.address import Address, parse_address
from targets.entry_checks import (
    DEFAULT_ROOT,
    InventoryError,
    check_jump,
    check_jump_host_key,
    check_name,
    check_root,
    check_ssh,
    read_truth,
    require_table,
    require_text,
)
from targets.execution import KEYS, Execution, read_execution
from targets.file_edit import replace_file
from targets.inventory_file import (
    append_entries,
    edit_file,
    insert_entries,
    others,
    parse_editable,
    parse_text,
    read_text,
    set_value,
)
from targets.project_trust import refuse_project_programs

LOCAL = "local"

_HOST_KEYS = ("host_key", "host_key_type", "host_ca")
_TEXTS = ("address", *_HOST_KEYS, "identity", "root", "jump", "board")
_KEYS = {*_TEXTS, *KEYS, "hooks", "labels", "jump_host_keys"}


@dataclass(frozen=True)
class Target:
    """A named device: how to reach it and where kedge may keep its files."""

    name: str
    address: str
    """`local`, or `[USER@]HOST[:PORT]`; HOST may be one of ~/.ssh/config."""
    host_key: str | None = None
    """Fingerprint `SHA256:…`, as `ssh-keygen -l` prints it; an SSH target has it or `host_ca`."""
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
    host_ca: str | None = None
    """Fingerprints of authorities, with commas; one must have certified the board's key."""

    @property
    def is_local(self) -> bool:
        """Whether the target is this computer itself."""
        return self.address == LOCAL

    @property
    def ssh_address(self) -> Address:
        """The parts of an SSH target's address."""
        return parse_address(self.address)


class Inventory:
    """The targets of one `kedge.toml`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._targets: dict[str, Target] | None = None
        self._load()

    @property
    def targets(self) -> Mapping[str, Target]:
        """All targets by name, in the file's order.

        Raises:
            InventoryError: An entry is not right; the message names file and field.
        """
        if self._targets is None:
            self._targets = self._targets_in(self._plain)
        return self._targets

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
        rest = (other for other in self.targets.values() if other.name != target.name)
        place = (target.address, target.root)
        return [other.name for other in rest if (other.address, other.root) == place]

    def require_addable(self, target: Target, more_names: Collection[str] = ()) -> None:
        """Refuse what cannot be added, before anybody connects to it.

        Args:
            target: Target to add.
            more_names: Names that are taken beside those of the file.

        Raises:
            InventoryError: The name is taken, or is none, or the root is no whole path.
        """
        name = target.name
        check_name(name)
        if name in more_names or name in self.targets:
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
        self.add_all([target])

    def add_all(self, targets: Sequence[Target]) -> None:
        """Write new targets to the file at once: all or, after an error, none.

        Raises:
            InventoryError: A name is taken or no name, a target is not right, or the file cannot
                be written.
        """
        with self._edit_alone():
            entries: dict[str, Table] = {}
            for target in targets:
                self.require_addable(target, entries)
                entries[target.name] = _entry_of(target)
            new_targets = dict(self.targets)
            new_targets.update((name, self._target(name, entries[name])) for name in entries)
            text = append_entries(self._text, entries)
            if not self._is_right(text, new_targets):
                text = insert_entries(self.path, self._text, entries)
            self._write(text, new_targets)

    def remove(self, name: str) -> None:
        """Take a target out of the file.

        Raises:
            InventoryError: There is none of this name, or the file cannot be written.
        """
        with self._edit_alone():
            self.get(name)
            new_targets = {other: target for other, target in self.targets.items() if other != name}
            document = parse_editable(self.path, self._text)
            del document["targets"][name]
            self._write(tomlkit.dumps(document), new_targets)

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
            document = parse_editable(self.path, self._text)
            table = document["targets"]
            entries = {other: table[other] for other in list(table)}
            for other in entries:
                del table[other]
            for other, entry in entries.items():
                table[new_name if other == name else other] = entry
            self._write(tomlkit.dumps(document), new_targets)

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
            document = parse_editable(self.path, self._text)
            entry = document["targets"][name]
            for key, value in values.items():
                set_value(entry, key, value)
            changed = self._target(name, entry)
            self._write(tomlkit.dumps(document), {**self.targets, name: changed})
        return changed

    def set_execution(self, name: str, execution: Execution) -> None:
        """Write how models are executed on a target.

        Raises:
            InventoryError: There is none of this name, or the file cannot be written.
        """
        with self._edit_alone():
            new_targets = {**self.targets, name: replace(self.get(name), execution=execution)}
            document = parse_editable(self.path, self._text)
            entry = document["targets"][name]
            for key, value in execution.as_entry().items():
                set_value(entry, key, value)
            self._write(tomlkit.dumps(document), new_targets)

    def _targets_in(self, plain: Mapping[str, Any]) -> dict[str, Target]:
        table = plain.get("targets", {})
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
            check_ssh(where, address, *(texts[key] for key in _HOST_KEYS))
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
            host_ca=texts["host_ca"],
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
        with edit_file(self.path):
            self._load()
            yield

    def _load(self) -> None:
        self._text = read_text(self.path)
        self._plain = parse_text(self.path, self._text)
        self._targets = None

    def _is_right(self, text: str, new_targets: Mapping[str, Target]) -> bool:
        """Read a new text, as TOML can be written so that an edit damages it."""
        try:
            new = parse_text(self.path, text)
            return self._targets_in(new) == new_targets and others(new) == others(self._plain)
        except InventoryError:
            return False

    def _write(self, text: str, new_targets: Mapping[str, Target]) -> None:
        if not self._is_right(text, new_targets):
            raise InventoryError(
                f"{self.path} is written in a way that kedge cannot edit",
                "Write each target as a table of its own, under a line [targets.NAME].",
            )
        replace_file(self.path.resolve(), text.encode())  # a link stays one
        self._load()


def _entry_of(target: Target) -> Table:
    entry = tomlkit.table()
    for key in ("address", *_HOST_KEYS, "identity", "jump", "board"):
        value = getattr(target, key)
        set_value(entry, key, None if value is None else str(value))
    set_value(entry, "root", None if target.root == DEFAULT_ROOT else target.root)
    set_value(entry, "hooks", target.hooks or None)
    for key in ("jump_host_keys", "labels"):
        set_value(entry, key, getattr(target, key))
    return entry
