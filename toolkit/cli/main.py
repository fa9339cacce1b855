"""`kedge`: finds the command, and turns every error into one message and an exit code."""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from importlib import import_module
from typing import Protocol, runtime_checkable

import click

from toolkit.cli import output
from toolkit.cli.groups import CommandGroup
from toolkit.cli.help_section import help_section
from toolkit.cli.interrupts import INTERRUPTED, is_effect_of_interrupt
from toolkit.report.exit_code import EXIT_INTERRUPTED

#: Command name to the module that holds it (as `command`) and its line in `kedge --help`. Modules
#: are imported when their command runs: help must be instant, TensorFlow and paramiko are not.
COMMANDS = {
    "init": ("toolkit.cli.init", "Begin a project: write kedge.toml, add boards."),
    "convert": (
        "toolkit.cli.convert",
        "Convert a Keras model to a .tflite and prove its accuracy.",
    ),
    "recipes": ("toolkit.cli.recipes", "List the built-in recipes, or show one."),
    "inspect": (
        "toolkit.cli.inspect",
        "Show what is inside a model file, and its runtime.",
    ),
    "target": ("toolkit.cli.target", "Add, list, check and remove boards."),
    "push": ("toolkit.cli.push", "Send a model file to a board."),
    "run": ("toolkit.cli.run", "Run a model on a board with pictures or arrays."),
    "bench": ("toolkit.cli.bench", "Measure a model file on a board, and check its outputs there."),
    "compare": ("toolkit.cli.compare", "Compare the latency of two models on one board."),
    "search": ("toolkit.cli.search", "Search for the best versions of a model, on a board."),
    "fleet": (
        "toolkit.cli.fleet",
        "Bring a release to many boards in waves, watch it, take it back.",
    ),
    "results": ("toolkit.cli.results", "List, show and export stored measurements."),
    "report": (
        "toolkit.cli.report",
        "Write one page about conversions, measurements and rollouts.",
    ),
    "bundle": ("toolkit.cli.bundle", "Build, sign, show and verify releases for boards."),
    "convert-and-push": (
        "toolkit.cli.convert_and_push",
        "Convert, push, check and measure in one command.",
    ),
    "doctor": ("toolkit.cli.doctor", "Check this computer; `target check` checks a board."),
    "demo": ("toolkit.cli.demo", "Show every step on a small model that it trains."),
}

#: Options of the main command that may stand anywhere before `--`.
ANYWHERE = frozenset({"--debug", "-v", "--quiet", "-q", "--wide"})

EXIT_BUG = 1


@runtime_checkable
class UserError(Protocol):
    """An error that is not a bug of kedge."""

    hint: str
    exit_code: int


class Commands(CommandGroup):
    """The commands, imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands, in the order of the work."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(None, "-V", "--version", package_name="kedge", prog_name="kedge")
@click.option(
    "--debug",
    "-v",
    is_flag=True,
    expose_value=False,
    help="Show tracebacks, versions and the SSH protocol; may stand anywhere in the line.",
)
@click.option(
    "--quiet",
    "-q",
    is_flag=True,
    expose_value=False,
    help="Show no progress; may stand anywhere in the line.",
)
@click.option(
    "--wide",
    is_flag=True,
    expose_value=False,
    help="Show all columns of tables on a narrow terminal, too; may stand anywhere in the line.",
)
def kedge() -> None:
    """Shrink a trained model, put it on boards over SSH, and prove there that it is right and fast.

    \b
    Try it without a board:   kedge demo
    With your own:            kedge target add pi user@raspberrypi
                              kedge convert-and-push model.h5 --data data.npz --to pi
    """
    from targets.ssh.secrets import SECRETS
    from toolkit.cli.ask import ask_in_terminal

    SECRETS.ask_with(ask_in_terminal, output.warn)


def main() -> None:
    """Run the command line and exit."""
    _open_closed_streams()
    code = run_command_line(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:
        output.silence(sys.stdout)
    sys.exit(code)


def run_command_line(arguments: list[str]) -> int:
    """Run the command line; return the exit code."""
    arguments, debug = _take_options(arguments)
    try:
        answer = kedge.main(arguments, prog_name="kedge", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except SystemExit:  # so click ends when the reader of a help text leaves early
        output.silence(sys.stdout)
        return 0
    except click.ClickException as error:
        text = io.StringIO()
        error.show(text)
        output.note(text.getvalue().rstrip())
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        output.note(INTERRUPTED)
        return EXIT_INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        if is_effect_of_interrupt() and not isinstance(error, UserError):
            output.note(INTERRUPTED)
            return EXIT_INTERRUPTED
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # of a help text, by click
            output.silence(sys.stdout)
            return _explain(output.cannot_write(error))
        return _explain(error)
    return answer if isinstance(answer, int) else 0


def _take_options(arguments: list[str]) -> tuple[list[str], bool]:
    """Obey the options of the main command; return the other arguments, and whether to debug."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = ANYWHERE & set(arguments[:end])
    debug = not options.isdisjoint({"--debug", "-v"})
    if debug:
        from toolkit.cli.debug import start_debugging

        start_debugging()
    if not options.isdisjoint({"--quiet", "-q"}):
        output.hide_progress.set()
    if "--wide" in options:
        output.show_all_columns.set()
    return [word for word in arguments[:end] if word not in ANYWHERE] + arguments[end:], debug


def _explain(error: Exception) -> int:
    if not isinstance(error, UserError):
        output.note(traceback.format_exc().rstrip())
        output.note("\nThis is a bug in kedge. Please report it with the lines above.")
        return EXIT_BUG
    if error.exit_code == 0:  # all is well, there is only nothing to show
        output.note(str(error))
        return 0
    output.note(output.color("error: ", fg="red", bold=True) + output.indent(str(error)))
    board_traceback = getattr(error, "traceback", "")
    if board_traceback:
        output.note("  " + output.indent(board_traceback))
    section = "  " + help_section(error)
    ends_with_file = "\n" in error.hint  # one to begin with: what follows it would be copied, too
    if ends_with_file:
        output.note(section)
    if error.hint:
        output.note("  → " + output.indent(error.hint))
    if not ends_with_file:
        output.note(section)
    return error.exit_code


def _open_closed_streams() -> None:
    """Give `>&-` a place to write to; else the next file that is opened would get its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    # Python has none for a number that was closed when it started.
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")
