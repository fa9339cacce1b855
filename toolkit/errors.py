"""The root error of the toolkit itself: what the user configured does not fit."""


class ToolkitError(Exception):
    """A command cannot go on with what it was given.

    Attributes:
        hint: What the user should do next; one sentence.
        exit_code: What the command line exits with.
    """

    exit_code = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
