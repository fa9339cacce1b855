"""The page in a real browser: no error, and nothing is wider than a phone."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.toolkit.report.page.reports import example
from toolkit.report.page.html import render_page

CHROMIUM = shutil.which("chromium")
if CHROMIUM is None and not os.environ.get("KEDGE_REQUIRE_BOARDS"):
    pytest.skip("no chromium here", allow_module_level=True)

#: Shows a page in a frame of a phone's width, and writes into the title what does not fit: the page
#: itself, and elements that leave it and do not scroll by themselves.
FRAME = """<title></title><iframe id=f src="{page}" style="width:{width}px;height:4000px"></iframe>
<script>f.onload = () => {{
  const root = f.contentDocument.documentElement;
  const wide = [...root.querySelectorAll("body *")].filter(e => !e.closest(".table")
    && !e.closest("svg") && e.getBoundingClientRect().right > root.clientWidth + 1);
  const empty = [...root.querySelectorAll("svg")].filter(
    e => e.getBoundingClientRect().height < 40);
  document.title = JSON.stringify({{wide: wide.map(e => e.outerHTML.slice(0, 80)),
    scrolls: root.scrollWidth > root.clientWidth, empty: empty.length,
    plots: root.querySelectorAll("svg").length}});
}}</script>"""


def browse(folder: Path, address: Path, *options: str) -> tuple[str, str]:
    """Open a page; return what the browser shows as HTML, and what it logs."""
    assert CHROMIUM is not None, "chromium is missing"
    done = subprocess.run(
        [
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *("--allow-file-access-from-files", f"--user-data-dir={folder / 'profile'}"),
            *options,
            address.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen_and_the_console_is_silent(
    width: int, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    page.write_text(render_page(example(tmp_path)))
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(page=page.as_uri(), width=width))
    shown, log = browse(tmp_path, frame, "--dump-dom", "--virtual-time-budget=10000")
    (title,) = re.findall(r"<title>(.*?)</title>", shown)
    assert title == '{"wide":[],"scrolls":false,"empty":0,"plots":9}'
    assert "CONSOLE" not in log


def test_a_page_can_be_printed(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(render_page(example(tmp_path)))
    pdf = tmp_path / "report.pdf"
    browse(tmp_path, page, f"--print-to-pdf={pdf}")
    assert pdf.read_bytes()[:5] == b"%PDF-"
