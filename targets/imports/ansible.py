"""What an Ansible inventory says of hosts, whatever it is written in.

Variables of a group hold for its hosts, those of a group inside of it come after, and those of the
host itself last. Every group of a host becomes a label with the value `yes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from targets.imports.row import MOST_ROWS, TargetListError, TargetRow

#: Value of the label that a group becomes.
IN_GROUP = "yes"

#: Groups that say nothing of a host.
_ALL = ("all", "ungrouped")

_RANGE = re.compile(r"\[(\w+):(\w+)(?::([0-9]{1,9}))?\]", re.ASCII)
_MOST_DEPTH = 50
_MOST_DIGITS = 9
_PROXY_JUMP = re.compile(r"-J\s*(\S+)|-o\s*[\"']?ProxyJump[= ][\"']?([^\s\"']+)", re.IGNORECASE)


@dataclass
class Group:
    """A group of an inventory."""

    hosts: dict[str, int] = field(default_factory=dict)
    """Number of the line by name of each host."""
    variables: dict[str, str] = field(default_factory=dict)
    children: list[str] = field(default_factory=list)


@dataclass
class AnsibleInventory:
    """Groups of hosts, and what is said of each host alone."""

    groups: dict[str, Group] = field(default_factory=dict)
    host_variables: dict[str, dict[str, str]] = field(default_factory=dict)

    def group(self, name: str) -> Group:
        """Return a group; a new one where there is none of this name."""
        return self.groups.setdefault(name, Group())

    def add_host(self, group: str, name: str, line: int, variables: Mapping[str, str]) -> None:
        """Put a host into a group."""
        self.group(group).hosts.setdefault(name, line)
        self.host_variables.setdefault(name, {}).update(variables)


def rows_of(inventory: AnsibleInventory, where: str) -> Iterator[TargetRow]:
    """Return the boards of an inventory, in the order of their lines.

    Raises:
        TargetListError: Groups contain each other, or there are too many hosts.
    """
    depths = _depths(inventory, where)
    lines: dict[str, int] = {}
    groups_of: dict[str, list[str]] = {}
    for name in sorted(inventory.groups, key=lambda name: (depths[name], name)):
        for host, line in _hosts_below(inventory, name).items():
            lines[host] = min(line, lines.get(host, line))
            groups_of.setdefault(host, []).append(name)
    if len(lines) > MOST_ROWS:
        raise TargetListError(f"{where}: has {len(lines)} hosts, expected at most {MOST_ROWS}")
    for host in sorted(lines, key=lambda host: lines[host]):
        variables: dict[str, str] = {}
        for group in groups_of[host]:
            variables.update(inventory.groups[group].variables)
        variables.update(inventory.host_variables.get(host, {}))
        labels = {name: IN_GROUP for name in groups_of[host] if name not in _ALL}
        yield _row(lines[host], host, variables, labels)


def expand_ranges(pattern: str) -> list[str]:
    """Return the names that a pattern such as `board[01:20]` stands for.

    Raises:
        ValueError: The range is none, or has too many names.
    """
    match = _RANGE.search(pattern)
    if match is None:
        return [pattern]
    first, last, step = match[1], match[2], int(match[3] or 1)
    if first.isdigit() and last.isdigit():
        if max(len(first), len(last)) > _MOST_DIGITS:
            raise ValueError(f"a number of more than {_MOST_DIGITS} digits")
        width = len(first) if first.startswith("0") else 0
        numbers = range(int(first), int(last) + 1, step or 1)
        if len(numbers) > MOST_ROWS:
            raise ValueError(f"a range of more than {MOST_ROWS} hosts")
        parts = [str(number).zfill(width) for number in numbers]
    elif len(first) == len(last) == 1:
        parts = [chr(code) for code in range(ord(first), ord(last) + 1, step or 1)]
    else:
        parts = []
    if not parts or step < 1:
        raise ValueError(f"no range: {match[0]}")
    names: list[str] = []
    for part in parts:
        names += expand_ranges(pattern[: match.start()] + part + pattern[match.end() :])
        if len(names) > MOST_ROWS:
            raise ValueError(f"a range of more than {MOST_ROWS} hosts")
    return names


def _row(
    line: int, name: str, variables: Mapping[str, str], labels: Mapping[str, str]
) -> TargetRow:
    values = {}
    for key, variable in (
        ("identity", "ansible_ssh_private_key_file"),
        ("identity", "ansible_private_key_file"),
        ("board", "kedge_board"),
        ("root", "kedge_root"),
    ):
        if variables.get(variable):
            values[key] = variables[variable]
    for variable in ("ansible_ssh_common_args", "ansible_ssh_extra_args"):
        jump = _PROXY_JUMP.search(variables.get(variable, ""))
        if jump:
            values["jump"] = jump[1] or jump[2]
    return TargetRow(line, name, _address(name, variables), values, labels)


def _address(name: str, variables: Mapping[str, str]) -> str:
    if variables.get("ansible_connection") == "local":
        return "local"
    host = variables.get("ansible_host") or variables.get("ansible_ssh_host") or name
    user = variables.get("ansible_user") or variables.get("ansible_ssh_user")
    port = variables.get("ansible_port") or variables.get("ansible_ssh_port")
    if ":" in host and not host.startswith("["):
        host = f"[{host}]" if host.count(":") > 1 else host
    return (f"{user}@" if user else "") + host + (f":{port}" if port else "")


def _hosts_below(inventory: AnsibleInventory, name: str) -> dict[str, int]:
    """Return the hosts of a group and of the groups inside of it."""
    group = inventory.groups[name]
    hosts = dict(group.hosts)
    for child in group.children:
        hosts.update(_hosts_below(inventory, child))
    return hosts


def _depths(inventory: AnsibleInventory, where: str) -> dict[str, int]:
    """Return how deep each group lies inside of others."""
    depths = dict.fromkeys(inventory.groups, 0)
    depths.update((name, -1) for name in _ALL if name in depths)
    for _ in range(_MOST_DEPTH):
        is_settled = True
        for name, group in inventory.groups.items():
            for child in group.children:
                if depths[child] <= depths[name]:
                    depths[child], is_settled = depths[name] + 1, False
        if is_settled:
            return depths
    raise TargetListError(
        f"{where}: groups contain each other, or lie more than {_MOST_DEPTH} deep in each other",
        "See them: ansible-inventory --graph",
    )
