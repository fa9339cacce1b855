"""Asks the person at the terminal for what only they know."""

from __future__ import annotations

import atexit
import shutil
import sys
import termios
import unicodedata

import click

from targets.ssh.secrets import Question
from toolkit.cli import output
from toolkit.cli.escapes import escape_controls

#: Beginning of each line of a server's words. No line of them is longer than the terminal is wide,
#: so that none can look like a line of kedge.
_SERVER_MARGIN = "  | "

#: Largest number of a server's lines that are shown; its question is at their end.
_MOST_LINES = 40


def ask_in_terminal(question: Question, hidden: bool) -> str | None:
    """Ask a question; `None` when nobody is there.

    Args:
        question: Question of kedge, or of a server in its own words.
        hidden: Whether the answer must not be seen.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    _restore_at_exit()
    with output.pause_progress():
        if question.server:
            output.note(f"{question.server} asks, in its own words:")
            output.note("\n".join(server_lines(question.text)))
            prompt = f"Answer that is sent to {question.server}"
        else:
            prompt = f"kedge: {question.text}"
        prompt = escape_controls(prompt, plain="")
        answer = click.prompt(prompt, default="", show_default=False, hide_input=hidden, err=True)
    return str(answer)


def server_lines(text: str, columns: int | None = None) -> list[str]:
    """Break a server's words into lines with a margin that they cannot leave.

    Args:
        text: Words of the server.
        columns: Width of the terminal; without it, that of this terminal.
    """
    columns = columns or shutil.get_terminal_size().columns
    room = max(10, columns - len(_SERVER_MARGIN) - 1)
    lines = []
    for line in text.strip("\r\n").replace("\r\n", "\n").split("\n")[-_MOST_LINES:]:
        rest, width = "", 0
        for sign in escape_controls(line, plain=""):
            sign_width = 1 if sign.isascii() or unicodedata.east_asian_width(sign) == "H" else 2
            if width + sign_width > room:
                lines.append(_SERVER_MARGIN + rest)
                rest, width = "", 0
            rest, width = rest + sign, width + sign_width
        lines.append(_SERVER_MARGIN + rest)
    return lines[-_MOST_LINES:]


def _restore_at_exit() -> None:
    """Ctrl-C while a thread asks must not leave a terminal that shows nothing of what is typed."""
    if not _restored:
        _restored.append(True)
        atexit.register(termios.tcsetattr, 0, termios.TCSADRAIN, termios.tcgetattr(0))


_restored: list[bool] = []
