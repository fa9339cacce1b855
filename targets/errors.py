"""The root error of the way to a board."""


class TargetError(Exception):
    """The board cannot be reached, or the way to it is not ready.

    Attributes:
        hint: What the user should do next; one sentence.
        exit_code: What the command line exits with.
    """

    exit_code = 6

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
