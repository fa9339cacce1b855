"""Words, patterns, durations and tokens of `~/.ssh/config`, as OpenSSH reads them; pure."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>[smhdw]?)", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def split_words(text: str) -> list[str]:
    """Divide a line into words, as `argv_split` of OpenSSH does; a word with `#` begins a comment.

    Raises:
        ValueError: A quote has no end.
    """
    words, word, quote = [], "", ""
    is_word = False
    signs = iter(range(len(text)))
    for position in signs:
        sign, following = text[position], text[position + 1 : position + 2]
        if sign == "\\" and following and following in ("\"'\\" if quote else "\"'\\ "):
            word, is_word = word + following, True
            next(signs)
        elif quote:
            if sign == quote:
                quote = ""
            else:
                word += sign
        elif sign in "\"'":
            quote, is_word = sign, True
        elif sign in " \t":
            if is_word:
                words.append(word)
            word, is_word = "", False
        elif sign == "#" and not is_word:
            break
        else:
            word, is_word = word + sign, True
    if quote:
        raise ValueError("a quote has no end")
    return [*words, word] if is_word else words


def matches_pattern(text: str, pattern: str) -> bool:
    """Compare by `*` and `?` only: brackets are no class of characters."""
    expression = "".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def matches_list(text: str, patterns: Iterable[str]) -> bool:
    """Tell whether a text matches a pattern, and none of those that begin with `!`."""
    is_match = False
    for pattern in patterns:
        if pattern.startswith("!"):
            if matches_pattern(text, pattern[1:]):
                return False
        else:
            is_match |= matches_pattern(text, pattern)
    return is_match


def seconds_of(text: str) -> float | None:
    """Return a duration such as `90`, `1m30s` or `1h`, in seconds; `None` where it is none."""
    parts = list(_DURATION.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        return None
    return float(sum(int(part["number"]) * _UNITS[part["unit"].lower()] for part in parts))


def expand_tokens(text: str, tokens: Mapping[str, str]) -> str:
    """Put values in place of `%h` and the like; `%%` is a percent sign, other tokens stay.

    Args:
        text: Value of a setting.
        tokens: Values by the letter of the token.
    """
    known_tokens = {"%": "%", **tokens}
    return re.sub(r"%(.)", lambda match: known_tokens.get(match[1], match[0]), text)


def expand_path(text: str, tokens: Mapping[str, str]) -> Path:
    """Put the home, tokens and `${VARIABLE}` in place of what stands for them in a path."""
    text = _VARIABLE.sub(lambda match: os.environ.get(match[1], match[0]), text)
    return expand_home(Path(expand_tokens(text, tokens)))


def expand_home(path: Path) -> Path:
    """Put the user's home in place of `~`; without a home the path stays, and names no file."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path
