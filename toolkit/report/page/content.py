"""Parts of a page as data: sections with text, plots, tables and numbers to download."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.report.tables import Table


@dataclass(frozen=True)
class Plot:
    """A drawing, and the same in words for those who cannot see it."""

    svg: str
    """Element `svg`, without a head of XML."""
    caption: str
    """Sentence below the drawing."""


@dataclass(frozen=True)
class Section:
    """One subject of a page."""

    name: str
    """Name for links and for files, such as `latency`; unique in a page."""
    heading: str
    text: Sequence[str] = ()
    """Paragraphs between the heading and the plots."""
    plots: Sequence[Plot] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True)
class Page:
    """A report."""

    title: str
    verdicts: Sequence[str]
    """Sentences that say what came out, the most important first."""
    sections: Sequence[Section]
    data: Mapping[str, Any]
    """All numbers, as plain values for JSON."""
    made: str
    """Origin of the page: version of kedge and time (UTC)."""
