"""`--report`: what a command found out, as a page or for a CI server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli import output
from toolkit.cli.options import file_path
from toolkit.report import words

if TYPE_CHECKING:
    from toolkit.report.junit import Case
    from toolkit.report.page.content import Page

_PAGE, _JUNIT = (".html", ".htm"), ".xml"


def _check_suffixes(
    context: click.Context, parameter: click.Parameter, files: tuple[Path, ...]
) -> tuple[Path, ...]:
    """Refuse a file of another kind before the work, not after it."""
    del context, parameter
    for file in files:
        if file.suffix.lower() not in (*_PAGE, _JUNIT):
            raise click.BadParameter(f"{file} ends in neither .html (a page) nor .xml (JUnit)")
    return files


report_files = click.option(
    "--report",
    "--junit",
    "reports",
    type=file_path(dir_okay=False),
    multiple=True,
    metavar="FILE",
    callback=_check_suffixes,
    help="Also write a page (FILE.html) or JUnit XML for a CI server (FILE.xml); may be repeated.",
)


def write_reports(
    files: Sequence[Path], suite: str, cases: Callable[[], list[Case]], page: Callable[[], Page]
) -> None:
    """Write the files that were requested.

    Args:
        files: Files that end in .html or .xml.
        suite: Name of the cases together.
        cases: Function that returns the cases for JUnit.
        page: Function that returns the page.

    Raises:
        ToolkitError: A package for the page is missing, or a file cannot be written.
    """
    from toolkit.report.junit import junit_text
    from toolkit.report.page.write import write_page
    from toolkit.results.export import write_export

    for file in files:
        if file.suffix.lower() == _JUNIT:
            write_export(file, junit_text(suite, cases()))
        else:
            write_page(page(), file)
        output.note(f"written: {words.path(file)}")
