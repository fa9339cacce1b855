"""What the words of a board at the login mean for its user."""

from __future__ import annotations

import re

#: Words of a board, to the next step; the first that fits counts. Source: PAM's pam_unix and
#: pam_nologin, shadow's nologin, OpenSSH's auth-shadow.c.
_ADVICE = (
    (
        r"password.{0,60}(expired|must be changed|change required)"
        r"|(must|required to|you need to) change your password|change your password",
        "Log in once with ssh and change the password, then try again.",
    ),
    (
        r"account.{0,40}(has )?expired",
        "Let the administrator of the board extend the account: chage -E -1 USER.",
    ),
    (
        r"account.{0,40}(not available|disabled|locked)",
        "kedge needs a login that may run `sh`: give the user a login shell (chsh -s /bin/sh), or "
        "log in as another user.",
    ),
    (
        r"boot(ing|s)? up|shutting down|going down|not permitted to log in|maintenance"
        r"|/etc/nologin",
        "Wait until the board lets users log in; /etc/nologin there forbids it now.",
    ),
)

_MOST_SHOWN = 300


def advice_on(words: str) -> str:
    """Return the next step for what a board said; empty where its words mean nothing known."""
    for pattern, hint in _ADVICE:
        if re.search(pattern, words, re.IGNORECASE | re.DOTALL):
            return hint
    return ""


def quote_words(words: str) -> str:
    """Return the end of what a board said, in one line, for a message."""
    line = " ".join(words.split())
    return line if len(line) <= _MOST_SHOWN else "… " + line[-_MOST_SHOWN:]
