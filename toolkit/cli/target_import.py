"""`kedge target import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import output
from toolkit.cli.options import as_json, file_path
from toolkit.report import words

if TYPE_CHECKING:
    from targets.imports.target_list import TargetRowsError
    from targets.inventory import Target

#: Most targets that a dry run lists for a person.
_MOST_SHOWN = 20


@click.command("import")
@click.argument("path", metavar="FILE", type=file_path())
@click.option(
    "--known-hosts", type=file_path(), help="File of host keys, in place of those that ssh reads."
)
@click.option("--board", help="Kind of board of all that FILE names no kind for.")
@click.option("--dry-run", is_flag=True, help="Check all, and write nothing.")
@as_json
def import_targets(
    path: Path, known_hosts: Path | None, board: str | None, dry_run: bool, as_json: bool
) -> None:
    """Add the boards of a CSV file or an Ansible inventory (INI or YAML) to this project.

    A CSV file has a header with name and address; board, jump, identity, root, host_key and
    host_key_type may follow, and every other column is a label. A group of an Ansible inventory
    becomes the label GROUP=yes; kedge_board and kedge_root are variables for kedge. Host keys are
    pinned from known_hosts, hashed names too. Every row is checked before any is written, and no
    board is connected to. Boards that the project has already stay as they are.

    \b
    kedge target import boards.csv
    kedge target import inventory.yml --known-hosts fleet_known_hosts --board raspberry-pi-4
    kedge target import hosts.ini --dry-run --json
    """
    from targets.imports.target_list import TargetRowsError
    from toolkit.enrollment import enroll_list
    from toolkit.project import open_or_create_inventory

    try:
        new = enroll_list(path, known_hosts, board, dry_run)
    except TargetRowsError as error:
        if as_json:
            output.print_json(_plain_problems(error))
        raise
    if as_json:
        output.print_json(
            {
                "schema": 1,
                "dry_run": dry_run,
                "added": [_plain(target) for target in new.added],
                "present": [target.name for target in new.present],
                "problems": [],
            }
        )
        return
    inventory = words.path(open_or_create_inventory().path)
    if dry_run:
        for target in new.added[:_MOST_SHOWN]:
            labels = " ".join(f"{key}={value}" for key, value in target.labels.items())
            output.say(f"  {target.name} {target.address} {labels}".rstrip())
        if len(new.added) > _MOST_SHOWN:
            output.say(f"  and {len(new.added) - _MOST_SHOWN} more")
    did = "would add" if dry_run else "added"
    output.say(f"{did} {_count(len(new.added))} to {inventory}")
    if new.present:
        output.say(f"{_count(len(new.present))} were there already")


def _count(number: int) -> str:
    return f"{number:,} target{'' if number == 1 else 's'}"


def _plain(target: Target) -> dict[str, Any]:
    return {
        "name": target.name,
        "address": target.address,
        "board": target.board,
        "labels": dict(target.labels),
        "host_key": target.host_key,
    }


def _plain_problems(error: TargetRowsError) -> dict[str, Any]:
    problems = [
        {"line": problem.line, "name": problem.name, "reason": problem.reason}
        for problem in error.problems
    ]
    return {"schema": 1, "added": [], "present": [], "problems": problems}
