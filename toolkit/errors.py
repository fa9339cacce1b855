"""The root error of the toolkit itself: what the user configured does not fit."""


class ToolkitError(Exception):
    """A command cannot go on with what it was given."""

    exit_code = 3
    """Exit code of the command line."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Make an error.

        Args:
            message: Thing that does not fit, what it is and what was expected.
            hint: Next step for the user; one sentence.
        """
        super().__init__(message)
        self.hint = hint
