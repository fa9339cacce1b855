"""Asks the person at the terminal for what only they know."""

from __future__ import annotations

import atexit
import sys
import termios

import click

from toolkit.cli import output


def ask_in_terminal(question: str, hidden: bool) -> str | None:
    """Ask a question; `None` when nobody is there.

    Args:
        question: Without its colon.
        hidden: Whether the answer must not be seen.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    _restore_at_exit()
    with output.pause_progress():
        said = click.prompt(question, default="", show_default=False, hide_input=hidden, err=True)
    return str(said)


def _restore_at_exit() -> None:
    """Ctrl-C while a thread asks must not leave a terminal that shows nothing of what is typed."""
    if not _restored:
        _restored.append(True)
        atexit.register(termios.tcsetattr, 0, termios.TCSADRAIN, termios.tcgetattr(0))


_restored: list[bool] = []
