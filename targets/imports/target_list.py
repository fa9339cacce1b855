"""Makes targets of the rows of a list: all are right, or none is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from targets.address import DEFAULT_PORT
from targets.board_profile import board_profiles
from targets.entry_checks import (
    DEFAULT_ROOT,
    InventoryError,
    check_jump,
    check_name,
    check_root,
    check_ssh,
)
from targets.imports.row import TargetListError, TargetRow
from targets.inventory import Target
from targets.ssh.config import read_settings
from targets.ssh.known_hosts import KnownHostIndex, KnownKey

#: Types of keys, the preferred first, where a server has several.
_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)

#: Most problems that a message lists.
_MOST_LISTED = 20

_MOST_LABEL = 200


@dataclass(frozen=True)
class RowProblem:
    """Reason why a row of a list is not right."""

    line: int
    """Number of the line, from 1."""
    name: str
    """Name of the target; may be empty."""
    reason: str


class TargetRowsError(TargetListError):
    """Rows of a list are not right; nothing was written."""

    problems: tuple[RowProblem, ...]
    """All of them, in the order of their lines."""

    def __init__(self, path: Path, problems: Sequence[RowProblem], row_count: int) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        lines = [
            f"line {problem.line}: {_printable(problem.name)}{problem.reason}"
            for problem in self.problems[:_MOST_LISTED]
        ]
        more = len(self.problems) - len(lines)
        lines += [f"and {more} more"] if more > 0 else []
        count = f"{len(self.problems)} of {row_count} rows are not right"
        super().__init__(
            "\n".join([f"{path}: {count}; nothing was written", *lines]),
            "Correct these rows, and repeat the command.",
        )


def _printable(name: str) -> str:
    """Return a name and a colon; a name that could pass for another line is quoted."""
    return f"{name if name.isprintable() else repr(name)}: " if name else ""


@dataclass(frozen=True)
class NewTargets:
    """Targets of a list, by what the project has of them."""

    added: tuple[Target, ...]
    """Targets that the project does not have."""
    present: tuple[Target, ...]
    """Targets that the project has already, with the same values."""


def make_targets(
    path: Path,
    rows: Sequence[TargetRow],
    keys: KnownHostIndex,
    known_targets: Mapping[str, Target],
    board: str | None = None,
) -> NewTargets:
    """Check all rows of a list.

    Args:
        path: File of the list; a relative identity starts at its folder.
        rows: Rows.
        keys: Known host keys, for rows without one.
        known_targets: Targets of the project by name.
        board: Kind of board of rows that name none.

    Raises:
        TargetRowsError: Rows are not right; the message lists them.
    """
    problems: list[RowProblem] = []
    lines_of: dict[object, int] = {}
    added: list[Target] = []
    present: list[Target] = []
    for row in rows:
        try:
            known = known_targets.get(row.name)
            target = _target(path, row, board)
            if not (target.is_local or target.host_key or target.host_ca):
                target = _with_key(target, keys, known)
            _require_single(row, target, lines_of)
            if known is not None:
                _require_same(row, target, known)
            (added if known is None else present).append(target)
        except InventoryError as error:
            problems.append(RowProblem(row.line, row.name[:63], str(error)))
    if problems:
        raise TargetRowsError(path, problems, len(rows))
    return NewTargets(tuple(added), tuple(present))


def _target(path: Path, row: TargetRow, board: str | None) -> Target:
    """Return the target of a row, whose host key may be missing."""
    check_name(row.name)
    values = row.values
    for key, value in (("address", row.address), *values.items(), *row.labels.items()):
        if "{{" in value or not value.isprintable() or len(value) > 4096:
            raise InventoryError(f"{key} must be a plain value, found {value[:100]!r}")
    if any(len(text) > _MOST_LABEL for pair in row.labels.items() for text in pair):
        raise InventoryError(f"a label has more than {_MOST_LABEL} characters")
    identity = values.get("identity")
    target = Target(
        name=row.name,
        address=row.address,
        host_key=values.get("host_key"),
        host_key_type=values.get("host_key_type"),
        host_ca=values.get("host_ca"),
        identity=_identity(path, identity) if identity else None,
        root=values.get("root", DEFAULT_ROOT),
        labels=row.labels,
        jump=values.get("jump"),
        board=values.get("board", board),
    )
    check_root("row", target.root)
    check_jump("row", target.jump)
    if target.board is not None and target.board not in board_profiles():
        raise InventoryError(f"no kind of board is called {target.board!r}")
    if not target.is_local:
        # Any key of the right form lets the check look at the address, which a look-up needs.
        pin = target.host_key or (None if target.host_ca else f"SHA256:{'A' * 43}")
        check_ssh("row", target.address, pin, target.host_key_type, target.host_ca)
    return target


def _identity(path: Path, text: str) -> Path:
    return Path(text) if text.startswith("~") else path.absolute().parent / text


def _require_single(row: TargetRow, target: Target, lines_of: dict[object, int]) -> None:
    """Refuse a name, or a folder of a board, that another row has already."""
    place = (target.address, target.root)
    for what, key in ((f"the name {row.name}", row.name), (f"the address {row.address}", place)):
        line = lines_of.setdefault(key, row.line)
        if line != row.line:
            raise InventoryError(f"{what} stands in line {line} already")


def _require_same(row: TargetRow, target: Target, known: Target) -> None:
    """Refuse a row that says something else of a target than kedge.toml."""
    fields = ["address", "identity", "root", "labels", "jump"]
    fields += ["host_key"] if "host_key" in row.values else []
    others = [name for name in fields if getattr(known, name) != getattr(target, name)]
    if others:
        raise InventoryError(
            f"kedge.toml has a target of this name already, with another {' and '.join(others)}"
        )


def _with_key(target: Target, keys: KnownHostIndex, known: Target | None) -> Target:
    """Pin the key that is known for a server, or else the authorities that vouch for it.

    A board that the project has already keeps what is pinned there.

    Raises:
        InventoryError: None is known, or it is revoked.
    """
    if known is not None and known.address == target.address:
        pins = (known.host_key, known.host_key_type, known.host_ca)
        return replace(target, host_key=pins[0], host_key_type=pins[1], host_ca=pins[2])
    names = _names_of(target)
    keys_by_name = {name: keys.keys_of(name) for name in names}
    for name, known_keys in keys_by_name.items():
        key = _best_key(known_keys, name)
        if key is not None:
            return replace(target, host_key=key.fingerprint, host_key_type=key.kind)
    for known_keys in keys_by_name.values():
        revoked = {key.fingerprint for key in known_keys if key.is_revoked}
        authorities = {key.fingerprint for key in known_keys if key.is_authority} - revoked
        if authorities:
            return replace(target, host_ca=",".join(sorted(authorities)))
    raise InventoryError(
        f"no host key of {names[0]} is known: connect once with ssh, which keeps it, or add the "
        "column host_key"
    )


def _names_of(target: Target) -> list[str]:
    """Return the names under which known_hosts may have a server; first the one in the list."""
    address = target.ssh_address
    port = address.port or DEFAULT_PORT
    names = [_name(address.host.strip("[]"), port)]
    settings = read_settings(address.host, address.user, address.port)
    if settings.host_key_alias:
        names.append(settings.host_key_alias)
    if settings.host or settings.port:
        host = settings.host or address.host
        names.append(_name(host, address.port or settings.port or DEFAULT_PORT))
    return names


def _name(host: str, port: int) -> str:
    return host if port == DEFAULT_PORT else f"[{host}]:{port}"


def _best_key(keys: Sequence[KnownKey], name: str) -> KnownKey | None:
    revoked = {key.fingerprint for key in keys if key.is_revoked}
    plain = [key for key in keys if not (key.is_authority or key.is_revoked)]
    usable = [key for key in plain if key.fingerprint not in revoked and key.kind in _TYPES]
    if plain and not usable:
        raise InventoryError(f"the host key of {name} is revoked ({plain[0].where})")
    return min(usable, key=lambda key: _TYPES.index(key.kind), default=None)
