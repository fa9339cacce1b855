"""A function of the user's works in the user's folder, and what it prints is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.data import user_function
from converters.data.user_function import UserFunction
from converters.errors import ConversionError

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


@pytest.mark.parametrize("place", ["", "def load():\n    "])
def test_a_function_that_ends_its_process_is_named(tmp_path: Path, place: str) -> None:
    name = "ends_at_call" if place else "ends_at_import"
    (tmp_path / f"{name}.py").write_text(f"{place}raise SystemExit(7)\n")
    with pytest.raises(ConversionError, match=f"{name}:load fails") as caught:
        UserFunction(tmp_path, name, "load").call()
    assert "SystemExit: 7" in str(caught.value)
