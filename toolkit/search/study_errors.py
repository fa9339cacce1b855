"""What can go wrong with a study."""

from __future__ import annotations

from toolkit.errors import ToolkitError


class SearchError(ToolkitError):
    """The search cannot begin or go on; what its trials found is kept."""


class StudyUnreachableError(SearchError):
    """The database of a study does not answer: the same command goes on later."""

    exit_code = 6


class TrialLostError(Exception):
    """Another worker does the trial, because this one was silent for too long."""
