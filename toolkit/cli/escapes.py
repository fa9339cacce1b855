"""Control signs in what others wrote, such as a board, a model or a project, become visible.

Nothing that is printed can move the cursor, erase a line, set a title, reach the clipboard or turn
the order of letters. Colors of kedge itself pass: they carry a mark that nobody else can know.
"""

from __future__ import annotations

import re
import secrets
import unicodedata

#: Categories of signs that a terminal obeys or hides instead of showing them: C0, C1 and DEL;
#: bidi marks and other signs without a shape; separators of lines; halves of surrogates.
_HIDDEN = ("Cc", "Cf", "Zl", "Zp", "Cs")

#: Joiners, which belong to words of some languages and to emoji.
_JOINERS = "\u200c\u200d"

_MARK = f"\N{LINE SEPARATOR}{secrets.token_hex(8)}"
_MARKED = re.compile(re.escape(_MARK) + "([0-9;]*m)")


def mark_styles(text: str) -> str:
    """Mark the escape sequences of a text as those of kedge; `escape_controls` lets them pass."""
    return text.replace("\x1b[", _MARK)


def escape_controls(text: str, plain: str = "\n\t") -> str:
    """Show every control sign as `\\x1b` or `\\u202e` is written.

    Args:
        text: Text that may hold strings of others, and styles with the mark of `mark_styles`.
        plain: Control signs that stay as they are.

    Returns:
        Text for a terminal, with the marked styles as escape sequences.
    """
    if text.isprintable():
        return text
    if "\n" in plain:
        text = text.replace("\r\n", "\n")  # a board's end of a line
    words = _MARKED.split(text)  # text and style in turn
    words[::2] = ("".join(_visible(sign, plain) for sign in word) for word in words[::2])
    words[1::2] = (f"\x1b[{style}" for style in words[1::2])
    return "".join(words)


def _visible(sign: str, plain: str) -> str:
    if sign.isprintable() or sign in plain or sign in _JOINERS:
        return sign
    if unicodedata.category(sign) not in _HIDDEN:
        return sign
    number = ord(sign)
    if 0xDC80 <= number <= 0xDCFF:  # a byte of a file name that is no UTF-8
        number -= 0xDC00
    if number <= 0xFF:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
