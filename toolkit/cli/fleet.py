"""`kedge fleet`."""

from __future__ import annotations

import click

from toolkit.cli.fleet_check import check_command
from toolkit.cli.fleet_journal import journal
from toolkit.cli.fleet_plan import plan_command
from toolkit.cli.fleet_rollout import resume, rollback, rollout
from toolkit.cli.fleet_status import history, pause, status, stop_command
from toolkit.cli.groups import CommandGroup


class FleetCommands(CommandGroup):
    """Commands in the order of the work."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands, in the order in which a person needs them."""
        del ctx
        return list(self.commands)


@click.group("fleet", cls=FleetCommands)
def command() -> None:
    """Bring a release to many boards in waves, watch it, and take it back.

    \b
    kedge fleet plan detector.bundle --to site=north
    kedge fleet rollout detector.bundle --to site=north --sign ~/.ssh/id_ed25519
    kedge fleet status
    """


for _command in (
    plan_command,
    rollout,
    status,
    pause,
    resume,
    stop_command,
    rollback,
    history,
    check_command,
    journal,
):
    command.add_command(_command)
