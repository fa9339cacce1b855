"""Tables stay tables in 80 columns; nothing of them is cut, and verdicts have a color."""

import re

import pytest

from toolkit.cli.tables import table_text
from toolkit.cli.verdict_colors import verdict_at_start
from toolkit.report.tables import Table

COLUMNS = ("recipe", "test % (95 %)", "drop, points (95 %)", "precision", "recall", "verdict")
NAME = "channels50_distill_qat_w8a8"
ROW = (NAME, "96.23 (93.82–97.73)", "0.42 (-0.20 to +1.10)", "0.9612", "0.9633", "UNSTABLE")
TABLE = Table("", COLUMNS, [ROW, ROW], details=("recall", "precision", "drop, points (95 %)"))


def text_of(columns: int | None) -> str:
    return table_text(TABLE, columns, lambda cell: cell)


def test_a_wide_terminal_shows_every_column() -> None:
    text = text_of(200)
    assert all(column in text for column in COLUMNS)
    assert "not shown" not in text


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_a_narrow_terminal_gets_a_table_of_fewer_columns_that_names_the_others(
    columns: int,
) -> None:
    text = text_of(columns)
    shown, _, absent = text.partition("not shown:")
    assert all(len(line) <= columns for line in shown.splitlines())
    assert "─" in shown
    assert shown.count(NAME) == 2
    assert "--wide" in absent
    assert "recall" in absent
    assert "recall" not in shown
    assert "verdict" in shown


def test_a_terminal_without_room_for_the_name_gets_a_line_for_each_figure() -> None:
    text = text_of(30)
    assert text.count(NAME) == 2
    assert all(cell in text for cell in ROW)


def test_a_pipe_gets_every_column() -> None:
    text = text_of(None)
    assert all(cell in text for cell in ROW)


def test_texts_stand_left_and_figures_right() -> None:
    table = Table(
        "", ("name", "words", "figure"), [("a", "longer text", "1 us"), ("b", "x", "10 us")]
    )
    lines = table_text(table, 80, lambda cell: cell).splitlines()
    rows = [line for line in lines if re.match(r"  [ab] ", line)]
    assert rows[1].index("x") == rows[0].index("longer")
    assert rows[0].endswith(" 1 us")
    assert len(rows[0]) == len(rows[1])


@pytest.mark.parametrize(
    ("line", "color"),
    [
        ("VALID with 1 thread", "green"),
        ("READY WITH CAUTION", "yellow"),
        ("outputs DIFFER over 64 random inputs", "red"),
        ("NOT READY", "red"),
        ("    INCONCLUSIVE: B / A = 1.01", "yellow"),
    ],
)
def test_a_verdict_has_a_color(line: str, color: str) -> None:
    parts = verdict_at_start(line)
    assert parts is not None
    assert "".join(parts[:3]) == line
    assert parts[3] == color


@pytest.mark.parametrize("line", ["VALIDATION", "it is VALID", "validity", "ERRORS"])
def test_other_words_have_none(line: str) -> None:
    assert verdict_at_start(line) is None
