"""The root error of a conversion: the model, the data or their files do not fit."""

from __future__ import annotations


class ConversionError(Exception):
    """The model, the data or a file made from them cannot be used."""

    exit_code = 4
    """Exit code of the command line."""
    hint: str
    """Next step for the user, one sentence."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class LayerOutsideGraphError(ConversionError):
    """A layer cannot be represented in the graph: use a recipe that does not train."""


class HostDiskError(ConversionError):
    """This computer's disk is full or refuses writing: free space, then repeat."""

    exit_code = 6


class MissingConvertExtraError(ConversionError):
    """kedge was installed without what a conversion needs."""

    exit_code = 3
