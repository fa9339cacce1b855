"""Runs kedge as a user does: as a program of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Longer than any command of a test may take; a hang becomes a failure.
_TIMEOUT_SECONDS = 900


@dataclass(frozen=True)
class Ran:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def kedge(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None, stdin: str = "") -> Ran:
    """Run one command in a project folder."""
    done = subprocess.run(
        [sys.executable, "-m", "toolkit.cli", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def assert_refused(ran: Ran, code: int, *words: str) -> None:
    """State that a command failed as it should: its code, one message, no traceback."""
    assert ran.code == code, f"exit {ran.code}: {ran.err}"
    assert "Traceback" not in ran.err
    messages = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(messages) == 1, ran.err
    for word in words:
        assert word in ran.err
