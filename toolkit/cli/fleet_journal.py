"""`kedge fleet journal`: backups of the journal, and what to do where it is lost."""

from __future__ import annotations

import time
from pathlib import Path

import click

from toolkit.cli import output
from toolkit.cli.completion import complete_targets
from toolkit.cli.groups import CommandGroup
from toolkit.report import words


@click.group("journal", cls=CommandGroup)
def journal() -> None:
    """Back up the journal of rollouts, restore it, or rebuild it from the boards.

    \b
    kedge fleet journal backup /mnt/backup/fleet-$(date +%F).db
    kedge fleet journal restore /mnt/backup/fleet-2026-11-30.db
    kedge fleet journal rebuild
    """


@journal.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
def backup(file: Path) -> None:
    """Write all of the journal into one new FILE; a controller may run meanwhile.

    \b
    kedge fleet journal backup /mnt/backup/fleet-$(date +%F).db
    """
    from toolkit.fleet.journal_copies import backup_journal
    from toolkit.fleet.project import open_fleet

    with open_fleet().journal() as source:
        backup_journal(source, file)
    output.say(f"wrote {file}: {file.stat().st_size:,} bytes")


@journal.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
def restore(file: Path) -> None:
    """Put a backup in the place of the journal; the journal that was there stays beside it.

    The exit code is 5 if the backup was changed or is damaged. Boards of a rollout that was open
    then are asked first when it goes on.

    \b
    kedge fleet journal restore /mnt/backup/fleet-2026-11-30.db
    kedge fleet resume
    """
    from targets.device import own_name
    from toolkit.fleet.journal_copies import restore_journal
    from toolkit.fleet.project import open_fleet

    fleet = open_fleet()
    rows, aside = restore_journal(file, fleet.journal_path, own_name())
    output.say(f"restored {rows:,} rows into {fleet.journal_path}")
    if aside is not None:
        output.note(f"the journal that was there is now {aside}")


@journal.command("rebuild")
@click.option(
    "--on",
    "selection",
    shell_complete=complete_targets,
    help="Targets: NAME, A,B or LABEL=VALUE; all if not given.",
)
def rebuild(selection: str | None) -> int:
    """Make a lost journal again from what the boards report.

    What runs where is in it then, and no counter is used twice. Who rolled it out, and on what
    evidence, is lost. The exit code is 6 if a board does not answer; nothing is written then.

    \b
    kedge fleet journal rebuild
    kedge fleet journal rebuild --on site=north
    """
    from targets.device import own_name
    from toolkit.fleet.project import open_fleet
    from toolkit.fleet.rebuild import rebuild_journal
    from toolkit.fleet.status import read_board_states

    fleet = open_fleet()
    names = [*fleet.targets]
    if selection is not None:
        names = [target.name for target in fleet.inventory.select(selection)]
    with fleet.connections() as connections, fleet.journal() as target:
        with output.progress() as show:
            show(f"ask {words.count_of('board', len(names))}", 0, 0)
            reports = read_board_states(names, connections)
        silent = [report for report in reports if report.state is None]
        for report in silent:
            output.note(f"{report.name}: {output.indent(report.error)}")
            if report.hint:
                output.note(f"  → {output.indent(report.hint)}")
        if silent:
            output.note("  → Nothing was written. Name the boards that answer: --on A,B")
            return 6
        states = {report.name: report.state for report in reports if report.state is not None}
        numbers = rebuild_journal(target, states, own_name(), time.time())
        lines = [line for line in target.rollouts() if line.number in numbers]
    for line in sorted(lines, key=lambda line: line.number):
        version = line.start.facts.get("version", "")
        boards = sum(line.boards.values())
        count = words.count_of("board", boards)
        output.say(f"{line.start.app} {line.start.release[:12]} {version}: {count}")
    if not lines:
        output.say("no board runs a release")
    return 0
