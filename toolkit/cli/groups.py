"""Groups of commands that suggest the nearest name for a wrong one."""

from __future__ import annotations

from typing import ClassVar

import click


class CommandGroup(click.Group):
    """Commands of one kind; a wrong name is answered with the nearest that destroys nothing."""

    #: Commands that are never suggested: a person may take a suggestion without reading it.
    destructive: ClassVar[frozenset[str]] = frozenset({"remove", "delete"})

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names; `help X` is `X --help`.

        Raises:
            NoSuchCommand: There is none of this name; the message has the nearest names.
        """
        name = args[0]
        if name == "help" and self.get_command(ctx, name) is None:
            if not args[1:]:
                click.echo(ctx.get_help())
                ctx.exit()
            return self.resolve_command(ctx, [*args[1:], "--help"])
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            names = [other for other in self.list_commands(ctx) if other not in self.destructive]
            raise click.exceptions.NoSuchCommand(name, possibilities=names, ctx=ctx)
        return super().resolve_command(ctx, args)
