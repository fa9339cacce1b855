"""Ansible inventories written as INI."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from targets.imports.ansible import AnsibleInventory, expand_ranges, rows_of
from targets.imports.row import TargetListError, TargetRow

_UNGROUPED = "ungrouped"


def read_ansible_ini(text: str, where: str) -> Iterator[TargetRow]:
    """Read an inventory.

    Args:
        text: Content of the file.
        where: Path of the file, for messages.

    Raises:
        TargetListError: A line is not right.
    """
    inventory = AnsibleInventory()
    group, kind = _UNGROUPED, "hosts"
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        content = line.strip()
        if not content or content[0] in "#;":
            continue
        try:
            if content.startswith("["):
                group, kind = _section(content)
                inventory.group(group)
            elif kind == "children":
                child = _words(content)[0]
                inventory.group(child)
                inventory.group(group).children.append(child)
            elif kind == "vars":
                key, value = _variable(content)
                inventory.group(group).variables[key] = value
            else:
                _add_hosts(inventory, group, content, number)
        except ValueError as error:
            raise TargetListError(
                f"{where}, line {number}: {error}",
                "See how Ansible reads it: ansible-inventory --list",
            ) from error
    yield from rows_of(inventory, where)


def _section(content: str) -> tuple[str, str]:
    header = content.split("#")[0].strip()
    name, _, kind = header[1:-1].strip().partition(":")
    if not header.endswith("]") or not name or kind not in ("", "children", "vars"):
        raise ValueError(
            f"expected [GROUP], [GROUP:children] or [GROUP:vars], found {header[:60]!r}"
        )
    return name, kind or "hosts"


def _add_hosts(inventory: AnsibleInventory, group: str, content: str, line: int) -> None:
    pattern, *settings = _words(content)
    variables = dict(_variable(setting) for setting in settings)
    for name in expand_ranges(pattern):
        host, colon, port = name.rpartition(":")
        if colon and port.isdigit() and ":" not in host:
            name, own = host, {"ansible_port": port, **variables}
        else:
            own = variables
        inventory.add_host(group, name, line, own)


def _words(content: str) -> list[str]:
    return shlex.split(content, comments=True)


def _variable(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"expected KEY=VALUE, found {text[:60]!r}")
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return key.strip(), value
