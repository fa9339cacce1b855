"""`kedge target`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli import output
from toolkit.cli.completion import complete_targets
from toolkit.cli.groups import CommandGroup
from toolkit.cli.host_key import accept_host_key
from toolkit.cli.options import as_json, file_path, read_label
from toolkit.cli.target_check import check
from toolkit.cli.target_edit import rename, set_values
from toolkit.cli.target_import import import_targets
from toolkit.cli.target_rekey import rekey
from toolkit.cli.target_trust import trust
from toolkit.cli.tune import tune_command
from toolkit.report import words

if TYPE_CHECKING:
    from targets.inventory import Target
    from toolkit.check import BoardStatus


@click.group("target", cls=CommandGroup)
def command() -> None:
    """Add, list, check, tune and remove the boards of this project (kept in kedge.toml).

    \b
    kedge target add pi pi@raspberrypi.local
    """


command.add_command(check)
command.add_command(tune_command)
command.add_command(rename)
command.add_command(set_values)
command.add_command(import_targets)
command.add_command(rekey)
command.add_command(trust)


@command.command("add")
@click.argument("name")
@click.argument("address", metavar="[USER@]HOST[:PORT]|local")
@click.option("--identity", type=file_path(), help="Private key to log in with.")
@click.option(
    "--host-key",
    help="Fingerprint (SHA256:…) that the board must show; kedge asks if it is not given.",
)
@click.option(
    "--jump", metavar="USER@HOST[:PORT],…", help="Jump hosts on the way to the board, or none."
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    help="Label of the target; may be repeated.",
)
@click.option("--root", help="Folder on the board for kedge's files.")
def add(
    name: str,
    address: str,
    identity: Path | None,
    host_key: str | None,
    jump: str | None,
    labels: tuple[str, ...],
    root: str | None,
) -> None:
    """Add a board, once its host key is accepted and a login works.

    A user, port, key or jump host that is not given here comes from ~/.ssh/config, if it is there.

    \b
    kedge target add pi pi@raspberrypi --label room=lab
    kedge target add pi4 pi4                    # a Host of ~/.ssh/config
    kedge target add far pi@10.0.0.7 --jump me@bastion
    kedge target add here local
    """
    from targets.doctor import LEAST_ROOM_BYTES
    from targets.entry_checks import DEFAULT_ROOT
    from targets.inventory import Target
    from toolkit.enrollment import enroll

    target = Target(
        name=name,
        address=address,
        identity=identity.absolute() if identity else None,
        root=root or DEFAULT_ROOT,
        labels=dict(read_label(text, "--label") for text in labels),
        jump=jump,
    )
    added = enroll(target, host_key, accept_host_key)
    output.say(f"added {name} ({address}) to {added.inventory}")
    if added.profile is not None:
        output.say(
            f"recognised: {added.profile.name}; what to know of it: kedge target check {name}"
        )
    if added.free_bytes is not None:
        output.say(f"{words.size(added.free_bytes)} are free for kedge at {added.root}")
        if added.free_bytes < LEAST_ROOM_BYTES:
            output.warn(
                "that is too little for any runtime; what it needs: kedge target check "
                f"{name}; another folder: add it again with --root"
            )
    if not added.lets_load:
        output.warn(
            f"{added.root} is mounted noexec: no runtime can be loaded from there; "
            "add the board again with another --root to measure on it"
        )


@command.command("list")
@click.option(
    "--status", is_flag=True, help="Also connect to each board and say whether it is ready."
)
@as_json
def list_targets(status: bool, as_json: bool) -> None:
    """List the boards of this project.

    \b
    kedge target list
    kedge target list --status --json
    """
    from toolkit.project import open_inventory

    targets = open_inventory().targets
    statuses: dict[str, BoardStatus] = {}
    if status:
        from toolkit.check import check_many

        with output.progress() as show:
            statuses = check_many(list(targets.values()), show)
    if as_json:
        plain = [
            {
                "name": name,
                "address": target.address,
                "board": target.board,
                "labels": dict(target.labels),
                **({"status": vars(statuses[name])} if status else {}),
            }
            for name, target in targets.items()
        ]
        output.print_json({"schema": 1, "targets": plain})
        return
    rows = [
        [
            name,
            target.address,
            target.board or "",
            _labels(target),
            *([statuses[name].verdict] if status else []),
        ]
        for name, target in targets.items()
    ]
    columns = ["name", "address", "board", "labels", *(["status"] if status else [])]
    output.table("", columns, rows, ("labels", "board"))
    for name, board in statuses.items():
        if board.reason:
            output.note(f"{name}: {board.reason}")


def _labels(target: Target) -> str:
    return " ".join(f"{key}={value}" for key, value in target.labels.items())


@command.command("remove")
@click.argument("name", shell_complete=complete_targets)
@click.option("--forget", is_flag=True, help="Do not touch the board, which may be gone.")
@click.option(
    "--with-releases",
    is_flag=True,
    help="Remove the active releases, too, which applications on the board may have open.",
)
def remove(name: str, forget: bool, with_releases: bool) -> None:
    """Remove kedge's files from a board, and the board from this project.

    \b
    kedge target remove pi
    kedge target remove pi --forget
    kedge target remove pi --with-releases
    """
    from targets.provision import remove_from_board
    from targets.transport import UnreachableError
    from toolkit.project import open_inventory

    inventory = open_inventory()
    target = inventory.get(name)
    sharing = inventory.names_in_same_folder(target)
    try:
        gone = forget or bool(sharing) or remove_from_board(target, with_releases)
    except UnreachableError as error:
        error.hint += f" To forget a board that is gone: kedge target remove {name} --forget"
        raise
    if not gone:
        output.warn(f"{target.root} on {name} is kept: it holds files that are not kedge's")
    inventory.remove(name)
    files = f"its files on the board, in {target.root}, were deleted"
    if forget:
        files = "the board was not touched"
    elif sharing:
        files = f"its files on the board stay: {', '.join(sharing)} uses them, too"
    elif not gone:
        files = f"kedge's own files in {target.root} were deleted"
    output.say(f"removed {name} from {words.path(inventory.path)}; {files}")
