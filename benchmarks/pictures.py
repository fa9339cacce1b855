"""Draws the pictures of the documentation: terminals of real runs, and the report in a browser.

    python -m benchmarks.pictures FOLDER

FOLDER is one in which the example image_classification has run: it has model.keras, data.py,
pruned.toml and a target `here`. Writes docs/pictures/*.svg and report.png. The report needs
chromium.
"""

from __future__ import annotations

import io
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
COLUMNS = 112

#: Name of a picture to its command; the first one makes the files of the others.
COMMANDS = {
    "convert": "kedge convert model.keras --data data:load --recipe float32,ptq_w8a8,pruned.toml "
    "--max-drop 2% --out out",
    "bench": "kedge bench out/ptq_w8a8/model.tflite --on here",
    "inspect": "kedge inspect out/ptq_w8a8/model.tflite",
    "check": "kedge target check here",
}
#: Commands that are not drawn: they make the rest of what the report shows.
BEFORE_REPORT = (
    "kedge bench out/float32/model.tflite --on here",
    "kedge bench out/pruned/model.tflite --on here",
    "kedge report out --out report.html",
)
#: Pixels of the report's picture before it is made smaller, and colors after.
_WINDOW, _COLORS = "1100,1500", 64


def main() -> None:
    """Run the commands and draw what they print."""
    folder = Path(sys.argv[1])
    PICTURES.mkdir(exist_ok=True)
    shutil.rmtree(folder / "out", ignore_errors=True)  # a conversion that is there is only read
    for name, command in COMMANDS.items():
        text = run_in_terminal(command, folder)
        (PICTURES / f"{name}.svg").write_text(terminal_picture(name, command, text))
    for command in BEFORE_REPORT:
        run_in_terminal(command, folder)
    picture_page(folder / "report.html", PICTURES / "report.png")


def run_in_terminal(command: str, folder: Path) -> str:
    """Run a command of kedge in a terminal of its own; return what it prints, with its colors."""
    master, slave = pty.openpty()
    line = [sys.executable, "-m", "toolkit.cli", *shlex.split(command)[1:], "--quiet"]
    root = str(PICTURES.parents[1])
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "LINES": "60", "PYTHONPATH": root}
    process = subprocess.Popen(
        line, cwd=folder, stdin=slave, stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    parts = []
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:  # the command has ended
            break
        if not part:
            break
        parts.append(part)
    process.wait()
    return b"".join(parts).decode().replace("\r\n", "\n")


def terminal_picture(name: str, command: str, text: str) -> str:
    """Return a picture of a terminal as SVG that needs nothing from a network."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {command}", style="bold"))
    console.print(Text.from_ansi(text.rstrip("\n")))
    svg = console.export_svg(title="kedge", theme=MONOKAI, unique_id=name)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)
    return svg.replace("Fira Code, monospace", "monospace")


def picture_page(page: Path, picture: Path) -> None:
    """Write a small picture of the beginning of a page."""
    browser = shutil.which("chromium")
    if browser is None:
        raise SystemExit("the picture of the report needs chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "page.png"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        options += [f"--user-data-dir={folder}/profile", f"--window-size={_WINDOW}"]
        command = [browser, *options, f"--screenshot={large}", page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True)
        with Image.open(large) as image:
            small = image.convert("RGB").quantize(_COLORS, dither=Image.Dither.NONE)
            small.save(picture, optimize=True)


if __name__ == "__main__":
    main()
