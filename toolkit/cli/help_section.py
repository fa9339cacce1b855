"""Which section of the documentation explains an error."""

from __future__ import annotations

import re

from device_agent.contract import codes

PAGE = "docs/troubleshooting.md"

#: Codes with a section of their own: those of the agent, and that of an answer nobody understands.
CODES = frozenset({value for name, value in vars(codes).items() if name.isupper()} | {"wire"})

_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def help_section(error: BaseException) -> str:
    """Return the section that explains an error: the page and the anchor of its heading.

    Args:
        error: Error with `hint` and `exit_code`. One of a board may have `code`, which may be
            anything; only the codes that kedge knows count.
    """
    code = getattr(error, "code", "")
    return f"{PAGE}#{anchor_of_code(code) if code in CODES else anchor_of_class(type(error))}"


def anchor_of_class(kind: type[BaseException]) -> str:
    """Return the anchor of an error class: `HostDiskError` is at `host-disk`."""
    return _CAPITAL.sub("-", kind.__name__.removesuffix("Error")).lower()


def anchor_of_code(code: str) -> str:
    """Return the anchor of a code: `no_space` is at `no-space`."""
    return code.replace("_", "-")
