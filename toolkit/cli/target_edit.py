"""`kedge target rename` and `kedge target set`."""

from __future__ import annotations

from collections.abc import Mapping

import click

from toolkit.cli import output
from toolkit.cli.completion import complete_targets
from toolkit.cli.options import read_label
from toolkit.report import words

#: Keys of an entry that `set` may write; what a host key is, only the board can say.
SETTABLE = ("address", "identity", "jump", "root", "hooks")

_TRUTHS = {"true": True, "false": None, "": None}


@click.command("rename")
@click.argument("name", shell_complete=complete_targets)
@click.argument("new_name")
def rename(name: str, new_name: str) -> None:
    """Give a board of this project another name.

    Earlier results keep the name under which they were measured.

    \b
    kedge target rename pi kitchen
    """
    from toolkit.project import open_inventory

    inventory = open_inventory()
    inventory.rename(name, new_name)
    output.say(f"renamed {name} to {new_name} in {words.path(inventory.path)}")


@click.command("set")
@click.argument("name", shell_complete=complete_targets)
@click.argument("values", nargs=-1, required=True, metavar="KEY=VALUE…")
def set_values(name: str, values: tuple[str, ...]) -> None:
    """Change what kedge.toml says of a board; an empty value removes the key.

    Keys: address, identity, jump, root, hooks, and label.KEY for a label. The pinned host key
    stays, so that a new address must lead to the same board. hooks=true lets a release run the
    commands that it names on the board. Settings that decide how models run are found by `kedge
    target tune`.

    \b
    kedge target set pi address=pi@10.0.0.9 label.room=lab
    kedge target set pi jump=
    kedge target set pi hooks=true
    """
    from toolkit.project import open_inventory

    inventory = open_inventory()
    inventory.change(name, _fields(values, inventory.get(name).labels))
    output.say(f"changed {name} in {words.path(inventory.path)}; see: kedge target check {name}")


def _fields(
    values: tuple[str, ...], labels: Mapping[str, str]
) -> dict[str, str | bool | Mapping[str, str] | None]:
    """Return the new fields of an entry.

    Raises:
        BadParameter: A text is not KEY=VALUE, the key is not one that may be set, or `hooks` is to
            be neither true nor false.
    """
    fields: dict[str, str | bool | Mapping[str, str] | None] = {}
    new_labels = dict(labels)
    for text in values:
        key, value = read_label(text, "KEY=VALUE")
        if key.startswith("label."):
            new_labels.pop(key[6:], None)
            if value:
                new_labels[key[6:]] = value
            fields["labels"] = new_labels
        elif key == "hooks":
            if value not in _TRUTHS:
                raise click.BadParameter(
                    f"hooks is true or false, found {value!r}", param_hint="KEY=VALUE"
                )
            fields[key] = _TRUTHS[value]
        elif key in SETTABLE:
            fields[key] = value or None
        else:
            known = ", ".join(SETTABLE)
            raise click.BadParameter(
                f"{key!r} cannot be set; keys: {known}, label.KEY", param_hint="KEY=VALUE"
            )
    return fields
