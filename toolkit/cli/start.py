"""Entry of `kedge`: Ctrl-C has its message and its exit code from the first moment on."""

from __future__ import annotations

from toolkit.cli import interrupts
from toolkit.report.exit_code import EXIT_INTERRUPTED

interrupts.exit_at_once()  # before the imports below, which take most of the time of the start


def main() -> None:
    """Run the command line and exit."""
    from toolkit.cli.main import main as run_main

    try:
        interrupts.raise_from_now()
        run_main()
    except KeyboardInterrupt:  # in the moment before or behind the command
        raise SystemExit(EXIT_INTERRUPTED) from None
    finally:
        interrupts.exit_at_once()
