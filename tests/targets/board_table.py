"""The table of boards in docs/boards.md: `python -m tests.targets.board_table` writes it anew."""

import re
from pathlib import Path

from targets.board_profile import ASSUMED, BoardProfile, board_profiles

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "boards.md"
ROW = re.compile(r"^\| `[a-z0-9-]+` \|(?:[^|\n]*\|){7}$", re.MULTILINE)  # no other table has 8
_FACTS = ("soc", "cores", "memory", "system", "runtime", "accelerator")


def rows() -> list[str]:
    """A row for each profile; a value that is general knowledge is marked with a `?`."""
    return [_row(profile) for profile in board_profiles().values()]


def _row(profile: BoardProfile) -> str:
    facts = [profile.facts.get(key) for key in _FACTS]
    cells = [f"{fact.value}{' ?' * (fact.source == ASSUMED)}" if fact else "" for fact in facts]
    return " | ".join([f"| `{profile.id}`", profile.name, *cells]) + " |"


def main() -> None:
    """Write the rows where they stand."""
    text = DOCUMENT.read_text(encoding="utf-8")
    shown = list(ROW.finditer(text))
    start, end = shown[0].start(), shown[-1].end()
    DOCUMENT.write_text(text[:start] + "\n".join(rows()) + text[end:], encoding="utf-8")


if __name__ == "__main__":
    main()
