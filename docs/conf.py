"""Settings of Sphinx, which `make docs` starts; every warning is an error there."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

from generated_pages import GENERATED, PAGES, link_to_site  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "kedge"
version = release = version_of("kedge")
html_title = f"kedge {release}"
language = "en"

extensions = [
    "myst_parser",  # pages in Markdown
    "sphinx.ext.autodoc",  # the Python API, from its docstrings
    "sphinx.ext.napoleon",  # docstrings in Google's style
    "sphinx_click",  # the commands, from their --help
]
html_theme = "furo"
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
html_show_sourcelink = False
exclude_patterns = ["_build"]

myst_heading_anchors = 4
autodoc_typehints = "description"
autodoc_member_order = "bysource"
nitpicky = True
# Python's own names and those of packages: their inventories would need a network.
nitpick_ignore_regex = [("py:.*", ".*")]


def setup(app: Sphinx) -> None:
    """Write the pages that are made of the code, before Sphinx looks for pages."""
    app.connect("config-inited", _write_pages)
    app.connect("source-read", _redirect_links)
    # Before napoleon, which takes a colon inside of single backticks for the end of a type.
    app.connect("autodoc-process-docstring", _mark_code, priority=400)


def _write_pages(app: Sphinx, _: object) -> None:
    folder = Path(app.srcdir) / GENERATED
    folder.mkdir(exist_ok=True)
    for name, write in PAGES.items():
        path, text = folder / f"{name}.md", write()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _redirect_links(_: Sphinx, name: str, source: list[str]) -> None:
    if "/" not in name:
        source[0] = link_to_site(source[0], "../", f"{GENERATED}/")


def _mark_code(_app: Sphinx, what: str, *others: Any) -> None:
    """Turn `code` into ``code``, and leave out the text of modules: the pages have one."""
    lines: list[str] = others[-1]
    if what == "module":
        lines.clear()
    lines[:] = [re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line) for line in lines]
