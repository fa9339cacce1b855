"""The documentation builds without a warning: every link, page and docstring is right."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    options = [
        "--fail-on-warning",
        "--keep-going",
        "--quiet",
        "-b",
        "html",
        "-d",
        tmp_path / "read",
    ]
    command = [sys.executable, "-m", "sphinx", *options, ROOT / "docs", tmp_path / "site"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    for name in ("index", "troubleshooting", "reference/commands", "generated/recipes"):
        assert (tmp_path / "site" / f"{name}.html").is_file()
