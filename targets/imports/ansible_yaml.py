"""Ansible inventories written as YAML. The only file that imports PyYAML."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from targets.imports.ansible import AnsibleInventory, expand_ranges, rows_of
from targets.imports.row import MOST_ROWS, TargetListError, TargetRow

#: The parser in C, where PyYAML was built with it, reads a thousand hosts ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: Deepest nesting of groups, and most groups and hosts; aliases may repeat them without end.
_MOST_DEPTH = 50
_HINT = "See how Ansible reads it: ansible-inventory --list"


def read_ansible_yaml(text: str, where: str) -> Iterator[TargetRow]:
    """Read an inventory.

    Args:
        text: Content of the file.
        where: Path of the file, for messages.

    Raises:
        TargetListError: It is no YAML, or an entry is not right.
    """
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or type(error).__name__
        raise TargetListError(f"{where}{place}: is no YAML: {reason}", _HINT) from error
    reader = _Reader(where)
    for name, group, line in reader.pairs(node):
        reader.read_group(name, group, line, 0)
    yield from rows_of(reader.inventory, where)


class _Reader:
    """Fills an inventory from the nodes of a document."""

    def __init__(self, where: str) -> None:
        self.inventory = AnsibleInventory()
        self._where = where
        self._count = 0

    def pairs(self, node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node, int]]:
        """Yield key, value and number of the line of each entry; an empty node has none."""
        if node is None or (isinstance(node, yaml.ScalarNode) and node.value in ("", "~", "null")):
            return
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            raise self._error(line, "expected entries `NAME:`")
        for key, value in node.value:
            self._count += 1
            if self._count > 10 * MOST_ROWS:
                raise self._error(line, "too many entries")
            yield self._scalar(key), value, key.start_mark.line + 1

    def read_group(self, name: str, node: yaml.Node, line: int, depth: int) -> None:
        """Read a group and the groups inside of it."""
        if depth > _MOST_DEPTH:
            raise self._error(line, f"groups lie more than {_MOST_DEPTH} deep in each other")
        group = self.inventory.group(name)
        for key, value, key_line in self.pairs(node):
            if key == "hosts":
                self._read_hosts(name, value)
            elif key == "vars":
                group.variables.update(self._variables(value))
            elif key == "children":
                for child, content, child_line in self.pairs(value):
                    group.children.append(child)
                    self.read_group(child, content, child_line, depth + 1)
            else:
                raise self._error(
                    key_line, f"expected hosts, vars or children in {name!r}, found {key[:60]!r}"
                )

    def _read_hosts(self, group: str, node: yaml.Node) -> None:
        for pattern, variables, line in self.pairs(node):
            try:
                names = expand_ranges(pattern)
            except ValueError as error:
                raise self._error(line, str(error)) from error
            for name in names:
                self.inventory.add_host(group, name, line, self._variables(variables))

    def _variables(self, node: yaml.Node) -> dict[str, str]:
        """Return the variables that are single values; kedge reads no others."""
        return {
            key: value.value
            for key, value, _ in self.pairs(node)
            if isinstance(value, yaml.ScalarNode) and not value.tag.startswith("!")
        }

    def _scalar(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node.start_mark.line + 1, "expected a name")
        return str(node.value)

    def _error(self, line: int, reason: str) -> TargetListError:
        return TargetListError(f"{self._where}, line {line}: {reason}", _HINT)
