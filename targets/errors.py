"""The root error of the way to a board."""


class TargetError(Exception):
    """The board cannot be reached, or the way to it is not ready."""

    exit_code = 6
    """Exit code of the command line."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        """Next step for the user; one sentence."""
