"""A function of the user's works in the user's folder, and what it prints is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.data import user_function
from converters.data.user_function import UserFunction

MODULE = """
from pathlib import Path
print("imported")
TEXT = Path("beside.txt").read_text()

def load():
    print("two\\nlines")
    return TEXT + Path("beside.txt").read_text()
"""


def test_files_beside_a_function_are_found_and_its_words_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(user_function.printed, "show", lines.append)
    (tmp_path / "my_own_data.py").write_text(MODULE)
    (tmp_path / "beside.txt").write_text("a")
    before = Path.cwd()
    assert UserFunction(tmp_path, "my_own_data", "load").call() == "aa"
    assert lines == ["imported", "two", "lines"]
    assert Path.cwd() == before
