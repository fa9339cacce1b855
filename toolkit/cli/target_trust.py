"""`kedge target trust`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import output
from toolkit.cli.completion import complete_targets
from toolkit.cli.help_section import help_section
from toolkit.cli.options import as_json, file_path
from toolkit.cli.security_keys import note_touch
from toolkit.report.exit_code import gravest_exit_code

if TYPE_CHECKING:
    from device_agent.contract.trust_root import TrustRoot
    from toolkit.fleet.trust import BoardTrust
    from toolkit.fleet.trust_chain import SignedRoot


@click.command("trust")
@click.argument("names", nargs=-1, required=True, metavar="NAME…", shell_complete=complete_targets)
@click.option("--signers", type=file_path(), help="File of allowed signers; see ssh-keygen(1).")
@click.option(
    "--threshold",
    type=click.IntRange(1, 100),
    help="Number of different signers that must sign; 1 at first.",
)
@click.option("--fleet", help="Name of the fleet; not needed if the project has a single one.")
@click.option(
    "--sign",
    "keys",
    type=file_path(),
    multiple=True,
    help="Key that signs a change of the signers; may be repeated.",
)
@click.option(
    "--adopt", is_flag=True, help="Take over the root of a board, if this project has lost its own."
)
@as_json
def trust(
    names: tuple[str, ...],
    signers: Path | None,
    threshold: int | None,
    fleet: str | None,
    keys: tuple[Path, ...],
    adopt: bool,
    as_json: bool,
) -> int:
    """Show whose signatures boards accept, or enrol who may sign releases and orders.

    NAME is a target, or LABEL=VALUE for all with that label. A board that knows no signers takes
    the first ones on your word. Later ones need the signatures of enough signers before and of
    enough signers after the change; a key on another computer signs there, by the same command.

    \b
    kedge target trust pi
    kedge target trust pi --adopt
    kedge target trust pi lab1 --signers allowed_signers
    kedge target trust room=lab --signers allowed_signers --threshold 2
    kedge target trust room=lab --signers new_signers --sign ~/.ssh/id_ed25519 --sign backup_key
    """
    from toolkit.fleet.trust import adopt_root, choose_chain, enroll_trust, next_root
    from toolkit.fleet.trust_chain import FOLDER as TRUST_FOLDER
    from toolkit.project import open_inventory, project_folder

    if signers is None and (threshold or keys):
        raise click.UsageError("--threshold and --sign belong to --signers FILE")
    if adopt and (signers is not None or fleet is not None):
        raise click.UsageError("--adopt goes without --signers and --fleet")
    inventory = open_inventory()
    targets = inventory.select(",".join(names))
    roots: tuple[SignedRoot, ...] = ()
    folder = project_folder(inventory.path.parent, TRUST_FOLDER)
    if adopt:
        if len(targets) != 1:
            raise click.UsageError(f"--adopt takes a single board, not {len(targets)}")
        _show([adopt_root(folder, targets[0])], roots, as_json)
        return 0
    if signers is not None:
        fleet, chain = choose_chain(folder, fleet)
        note_touch(keys)
        next_root(chain, fleet, signers, threshold, keys)
        roots = chain.roots()
    with output.progress() as show:
        boards = enroll_trust(targets, roots, lambda board: show(f"{board.target} is done", 0, 0))
    _show(boards, roots, as_json)
    return gravest_exit_code(board.error.exit_code if board.error else 0 for board in boards)


def _show(boards: list[BoardTrust], roots: tuple[SignedRoot, ...], as_json: bool) -> None:
    from device_agent.contract.trust_root import encode_root

    if as_json:
        output.print_json(
            {
                "schema": 1,
                "root": _plain_root(roots[-1].root) if roots else None,
                "targets": [_plain_board(board) for board in boards],
            }
        )
    if len(boards) == 1 and boards[0].error is not None:
        raise boards[0].error  # also beside JSON: a program reads the entry, a person the message
    if as_json:
        return
    rows = [
        [board.target, board.fleet or "none", _version(board), board.verifier or "none"]
        for board in boards
    ]
    output.table("", ["name", "fleet", "trust root", "signatures checked by"], rows)
    for board in boards:
        if board.error is not None:
            hint = f"\n→ {board.error.hint}" if board.error.hint else ""
            output.warn(f"{board.target}: {board.error}{hint}")
    trust_roots = [roots[-1].root] if roots else []
    trust_roots += [board.root for board in boards if board.root is not None]
    for root in {encode_root(root): root for root in trust_roots}.values():
        _say_signers(root)


def _say_signers(root: TrustRoot) -> None:
    output.say(
        f"root {root.version} of the fleet {root.fleet}: {root.threshold} of these "
        f"{len(root.signers)} must sign"
    )
    for signer in _plain_root(root)["signers"]:
        output.say(f"  {signer['name']} {signer['type']} {signer['fingerprint']}")


def _version(board: BoardTrust) -> str:
    if board.version == board.version_before:
        return str(board.version) if board.version else "none"
    return f"{board.version_before or 'none'} → {board.version}"


def _plain_root(root: TrustRoot) -> dict[str, Any]:
    from toolkit.bundle.signers_file import parse_signers

    return {
        "fleet": root.fleet,
        "version": root.version,
        "threshold": root.threshold,
        "signers": [
            {"name": signer.principals, "type": signer.key_type, "fingerprint": signer.fingerprint}
            for signer in parse_signers(root.signers, "the trust root")
        ],
    }


def _plain_board(board: BoardTrust) -> dict[str, Any]:
    return {
        "name": board.target,
        "fleet": board.fleet or None,
        "version_before": board.version_before,
        "version": board.version,
        "verifier": board.verifier or None,
        "root": _plain_root(board.root) if board.root else None,
        "error": str(board.error) if board.error else None,
        "hint": board.error.hint if board.error else None,
        "help": help_section(board.error) if board.error else None,
        "exit_code": board.error.exit_code if board.error else 0,
    }
