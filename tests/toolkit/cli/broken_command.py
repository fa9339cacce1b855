"""A command with a bug, for the test of how bugs are shown."""

import click


@click.command("bug")
def command() -> None:
    """Divide by zero."""
    click.echo(1 // 0)
