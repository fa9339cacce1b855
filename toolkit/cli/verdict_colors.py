"""Colors of verdicts: green holds, yellow does not decide, red refuses."""

from __future__ import annotations

import re

_COLORS = {
    "green": ("VALID", "EQUAL", "AGREE", "AGREES", "STABLE", "READY", "IMPROVED", "UNCHANGED"),
    "yellow": ("UNSTABLE", "INCONCLUSIVE", "TOO SHORT", "READY WITH CAUTION", "NOT TRUSTED"),
    "red": (
        "INVALID",
        "DIFFER",
        "DIFFERS",
        "LEAKS",
        "SLOWS",
        "NOT READY",
        "UNREACHABLE",
        "REGRESSED",
        "ERROR",
    ),
}
_COLOR_OF = {word: color for color, words in _COLORS.items() for word in words}
_WORD = "|".join(sorted(_COLOR_OF, key=len, reverse=True))

#: A verdict at the beginning of a line, or behind the word that says of what it is.
_LINE = re.compile(rf"(\s*(?:outputs )?)({_WORD})(?=[\s,:]|\Z)")


def verdict_at_start(line: str) -> tuple[str, str, str, str] | None:
    """Return the parts of a line that begins with a verdict; `None` for any other.

    Returns:
        Text before the verdict, the verdict, text behind it, and the name of its color.
    """
    match = _LINE.match(line)
    if match is None:
        return None
    return match[1], match[2], line[match.end() :], _COLOR_OF[match[2]]
