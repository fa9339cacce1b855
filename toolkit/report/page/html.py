"""A page as HTML: one file that needs no network and no script."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.report.page.content import Page
from toolkit.report.tables import Table

#: CSS classes of cells that are verdicts.
_VERDICTS = {
    "VALID": "good",
    "EQUAL": "good",
    "AGREES": "good",
    "UNSTABLE": "doubt",
    "INCONCLUSIVE": "doubt",
    "INVALID": "bad",
    "DIFFERS": "bad",
}

#: First characters that a spreadsheet takes for a formula.
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


class PageError(ToolkitError):
    """Jinja, which fills the page, is not installed."""


def render_page(page: Page) -> str:
    """Return a page as HTML.

    Raises:
        PageError: Jinja is not installed.
    """
    try:
        from jinja2 import Environment
    except ImportError as error:
        raise PageError(
            "the report needs Jinja, which is not installed",
            'Install it: pip install "kedge[report]"',
        ) from error
    folder = Path(__file__).parent
    environment = Environment(autoescape=True)
    environment.filters |= {"csv_link": _csv_link, "json_link": _json_link}
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    style = (folder / "page.css").read_text(encoding="utf-8")
    return template.render(page=page, style=style.strip(), verdicts=_VERDICTS) + "\n"


def _csv_link(table: Table) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_csv_cell(cell) for cell in row] for row in table.rows)
    return _link("text/csv;charset=utf-8", buffer.getvalue())


def _csv_cell(cell: str) -> str:
    """A text that looks like a formula gets an apostrophe; a signed number stays one."""
    is_formula = cell.startswith(_FORMULA_SIGNS) and not cell[1:2].isdigit()
    return f"'{cell}" if is_formula else cell


def _json_link(data: Mapping[str, Any]) -> str:
    return _link("application/json", json.dumps(data, indent=1))


def _link(kind: str, text: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"
