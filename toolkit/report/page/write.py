"""Writes a report to a file."""

from __future__ import annotations

from pathlib import Path

from toolkit.report.page.content import Page
from toolkit.report.page.html import render_page
from toolkit.results.export import write_export


def write_page(page: Page, file: Path) -> None:
    """Write a page: whole, or not at all.

    Args:
        page: The report.
        file: File to write; an earlier one is replaced.

    Raises:
        PageError: Jinja is not installed.
        ResultStoreError: The file cannot be written; an earlier one is unchanged.
    """
    write_export(file, render_page(page))
